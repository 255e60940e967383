"""Reaching the server: what a failed attempt to connect means, and waiting for a server that starts."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from sherpa.db.errors import DatabaseError, DatabaseRefusedError, DatabaseUnavailableError
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

# Full jitter from 0.1 s, doubling up to 2 s: many processes that start together spread out, and a server
# that is up is noticed soon. Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
_WAIT: Final = wait_random_exponential(multiplier=0.1, max=2.0)

_REFUSALS: Final[dict[str, str]] = {
    "28000": "Correct the user in DATABASE_URL, or let it in by the server's pg_hba.conf.",
    "28P01": "Correct the user and the password in DATABASE_URL.",
    "3D000": "Create the database, or correct its name in DATABASE_URL.",
    "42501": "Grant the user CONNECT on the database, or correct DATABASE_URL.",
}
"""SQLSTATE of a refused login → what to do about it."""

_TLS_ADVICE = "Correct it, the file of trusted ones (PGSSLROOTCERT), or DATABASE_SSL_MODE."
_NO_TLS = "rejected SSL upgrade"
_POOLER_PARAMETER = "unsupported startup parameter"


async def open_when_ready[T](open_once: Callable[[], Awaitable[T]], server: str, within_seconds: float) -> T:
    """Return what `open_once` opens, trying again with backoff and jitter while the server can't be reached.

    Raises DatabaseUnavailableError when the time is over, DatabaseRefusedError at once for a bad login.
    """
    attempts = AsyncRetrying(
        wait=_WAIT,
        retry=retry_if_exception_type(DatabaseUnavailableError),
        before_sleep=_log_attempt,
        reraise=True,
    )
    last: DatabaseError | None = None

    async def attempt() -> T:
        nonlocal last
        try:
            return await open_once()
        except DatabaseUnavailableError as error:
            last = error
            raise

    try:
        async with asyncio.timeout(within_seconds):
            return await attempts(attempt)
    except TimeoutError:
        raise DatabaseUnavailableError(
            f"PostgreSQL at {server} could not be reached within {within_seconds:g} s"
            f" ({_reason(last)}). Check that it runs, and the host and port in DATABASE_URL."
        ) from last


def connect_error(error: Exception, server: str) -> DatabaseError | None:
    """Return what a failed attempt to connect means; None for an error that is no matter of connecting."""
    refusal = _refusal(error)
    if refusal:
        return DatabaseRefusedError(f"PostgreSQL at {server} can't be used so. {refusal}")
    match error:
        case asyncpg.PostgresError():
            return DatabaseUnavailableError(
                f"PostgreSQL at {server} accepts no connection now: {error.args[0]}."
            )
        case TimeoutError():
            return DatabaseUnavailableError(f"PostgreSQL at {server} did not answer in time.")
        case OSError():
            return DatabaseUnavailableError(f"PostgreSQL at {server} can't be reached: {error}.")
        case _:
            return None


def _refusal(error: Exception) -> str | None:
    """Return what was refused and what to do, None for an error that another attempt may mend."""
    match error:
        case asyncpg.PostgresError(sqlstate=state) if state in _REFUSALS:
            return f"It refused the login: {error.args[0]}. {_REFUSALS[state]}"
        case asyncpg.PostgresError() if _POOLER_PARAMETER in str(error):
            return f"A pooler refused: {error.args[0]}. Set DATABASE_STATEMENT_CACHE_SIZE=0 behind PgBouncer."
        case asyncpg.ClientConfigurationError() | FileNotFoundError() | PermissionError():
            return f"The certificates to be trusted can't be read: {error}. {_TLS_ADVICE}"
        case ssl.SSLError():
            return f"Its certificate is not accepted: {error}. {_TLS_ADVICE}"
        case ConnectionError() if _NO_TLS in str(error):
            return "It speaks no TLS: switch it on there, or set DATABASE_SSL_MODE to prefer or disable."
        case _:
            return None


def _reason(last: DatabaseError | None) -> str:
    cause = last.__cause__ if last else None
    return f"last error: {cause}" if cause else "it gave no answer"


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("database not ready", reason=str(error), retry_in_seconds=round(state.upcoming_sleep, 2))
