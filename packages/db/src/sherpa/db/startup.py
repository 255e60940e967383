"""Waiting for a server that starts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from sherpa.db.errors import DatabaseError, DatabaseUnavailableError
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

# Full jitter from 0.1 s, doubling up to 2 s: many processes that start together spread out, and a server
# that is up is noticed soon. Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
_WAIT: Final = wait_random_exponential(multiplier=0.1, max=2.0)


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


def _reason(last: DatabaseError | None) -> str:
    cause = last.__cause__ if last else None
    return f"last error: {cause}" if cause else "it gave no answer"


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("database not ready", reason=str(error), retry_in_seconds=round(state.upcoming_sleep, 2))
