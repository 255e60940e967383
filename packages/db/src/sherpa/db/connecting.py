"""What a failed attempt to connect means: unavailable for now, or refused whatever one tries.

Imports no more than the driver: probes and the migrations use it as well as the pool.
"""

import ssl
from typing import Final

import asyncpg

from sherpa.db.errors import DatabaseError, DatabaseRefusedError, DatabaseUnavailableError

_REFUSALS: Final[dict[str, str]] = {
    "28000": "Correct the user in DATABASE_URL, or let it in by the server's pg_hba.conf.",
    "28P01": "Correct the user and the password in DATABASE_URL.",
    "3D000": "Create the database, or correct its name in DATABASE_URL.",
    "42501": "Grant the user CONNECT on the database, or correct DATABASE_URL.",
}
"""SQLSTATE of a refused login → what to do about it."""

_TLS_ADVICE = "Correct it, the file of trusted ones (PGSSLROOTCERT), or DATABASE_SSL_MODE."
# A handshake that is cut off is the way of a server, or a proxy before it, that restarts.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_NO_TLS = "rejected SSL upgrade"
_POOLER_PARAMETER = "unsupported startup parameter"


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
        case asyncpg.TargetServerAttributeNotMatched():  # it may become so: a failover is under way
            return DatabaseUnavailableError(
                f"PostgreSQL at {server} is not what PGTARGETSESSIONATTRS in the environment asks for."
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
            return (
                f"A pooler refused: {error.args[0]}. Set DATABASE_STATEMENT_CACHE_SIZE=0 behind PgBouncer; "
                f"migrations need PostgreSQL's own address."
            )
        case asyncpg.ClientConfigurationError() | FileNotFoundError() | PermissionError():
            return f"The certificates to be trusted can't be read: {error}. {_TLS_ADVICE}"
        case ssl.SSLError() if not isinstance(error, _CUT_OFF):
            return f"Its certificate is not accepted: {error}. {_TLS_ADVICE}"
        case ConnectionError() if _NO_TLS in str(error):
            return "It speaks no TLS: switch it on there, or set DATABASE_SSL_MODE to prefer or disable."
        case _:
            return None
