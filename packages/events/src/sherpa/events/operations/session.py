"""The one database session of an operator's command: its errors say what happened and what to do next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.connecting import connect_error
from sherpa.db.dsn import connect_options, describe_server, is_behind_pooler
from sherpa.db.errors import DatabaseError, DatabaseUnavailableError
from sherpa.db.translation import translate

# A server that hangs must not keep whoever presses Ctrl-C.
_CLOSE_SECONDS: Final = 5.0
# What the role or the database sets for an application could end a long command halfway.
_SESSION: Final = {"lock_timeout": "5s", "statement_timeout": "0", "idle_session_timeout": "0"}

_DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_ADVICE: Final[dict[str, str]] = {
    "42P01": "Apply the pending migrations: `inv migrate`.",
    "42703": "Apply the pending migrations: `inv migrate`.",
    "42501": "Grant the user of DATABASE_URL this right, or run the command as the tables' owner.",
    "25006": "Run the command on the primary server, as a user whose transactions may write.",
    "55P03": "Somebody works on the same rows: try again in a moment.",
    "53100": "The server's disk is full: make room there, then run the command again.",
}
"""SQLSTATE → what to do."""


@asynccontextmanager
async def open_session(settings: DatabaseSettings, command: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block, as `sherpa-events COMMAND`; the tables must be there.

    Raises DatabaseUnavailableError, DatabaseRefusedError, and DatabaseError for what the server turns down.
    """
    server = describe_server(settings)
    connection = await _connect(settings, f"sherpa-events {command}", server)
    try:
        yield connection
    except (*_DRIVER_ERRORS, ConnectionError) as error:
        raise _explain(connection, error, server) from error
    finally:
        with suppress(*_DRIVER_ERRORS, OSError):  # it is ended all the same
            await connection.close(timeout=_CLOSE_SECONDS)


async def _connect(settings: DatabaseSettings, application: str, server: str) -> asyncpg.Connection:
    # A pooler refuses a connection that asks for parameters which it does not track.
    session = {} if is_behind_pooler(settings) else _SESSION
    try:
        return await asyncpg.connect(**connect_options(settings, application, server_settings=session))
    except Exception as error:
        reason = connect_error(error, server)
        if reason is None:
            raise
        if isinstance(reason, DatabaseUnavailableError):
            reason = DatabaseUnavailableError(f"{reason} `inv up` starts the servers of a checkout.")
        raise reason from error


def _explain(connection: asyncpg.Connection, error: Exception, server: str) -> DatabaseError:
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _ADVICE:
        return DatabaseError(f"PostgreSQL at {server} refused: {error.args[0]}. {_ADVICE[error.sqlstate]}")
    if connection.is_closed() or isinstance(error, (asyncpg.InternalClientError, ConnectionError)):
        return DatabaseUnavailableError(
            f"The connection to PostgreSQL at {server} ended. What was under way is undone: run it again."
        )
    if known := translate(error):
        return known
    return DatabaseError(f"PostgreSQL at {server} refused: {error}. Nothing more was done.")
