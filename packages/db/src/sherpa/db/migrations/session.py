"""The one session that a run works on: opened with errors that say what to do, closed whatever happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.connecting import connect_error
from sherpa.db.dsn import connect_options, describe_server
from sherpa.db.errors import DatabaseUnavailableError
from sherpa.db.migrations.errors import ConnectionFailedError, MigrationError
from sherpa.db.migrations.events import Notice, Report, ignore

APPLICATION_NAME = "sherpa-migrate"
OLDEST_SERVER = 15

# A migration that queues for a table's lock makes every query behind it queue as well: give up early.
LOCK_TIMEOUT = "5s"
# After a kill -9 the server notices within this time, ends the statement and frees our lock; without it, only
# when the statement ends by itself.
_CHECK_INTERVAL = "500ms"

# A server that hangs must not keep whoever presses Ctrl-C.
_CLOSE_SECONDS = 5.0


@asynccontextmanager
async def open_session(
    settings: DatabaseSettings, report: Report = ignore
) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block; the server's notices go to `report`.

    Raises `ConnectionFailedError`: no server, no such database, not admitted, a server too old, a connection
    that breaks; and `MigrationError` for what else the server turns down.
    """
    connection = await _connect(settings)

    def tell(_: object, message: asyncpg.PostgresLogMessage) -> None:
        report(Notice(message.message))

    connection.add_log_listener(tell)
    try:
        await _prepare(connection)
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _explain(connection, describe_server(settings), error) from error
    finally:
        connection.remove_log_listener(tell)
        with suppress(TimeoutError):  # it is ended all the same
            await connection.close(timeout=_CLOSE_SECONDS)


async def _connect(settings: DatabaseSettings) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(**connect_options(settings, APPLICATION_NAME))
    except Exception as error:
        reason = connect_error(error, describe_server(settings))
        if reason is None:
            raise
        is_away = isinstance(reason, DatabaseUnavailableError)
        advice = " `inv up` starts the servers of a checkout." if is_away else ""
        raise ConnectionFailedError(f"{reason}{advice}") from error


def _explain(connection: asyncpg.Connection, server: str, error: Exception) -> MigrationError:
    if connection.is_closed():
        return ConnectionFailedError(
            f"The connection to PostgreSQL at {server} ended ({error}). No migration was under way: "
            f"run the command again."
        )
    return MigrationError(f"PostgreSQL at {server} refused: {error}")


async def _prepare(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ConnectionFailedError(
            f"The server is PostgreSQL {version.major}; the migrations need {OLDEST_SERVER} or newer."
        )
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'; SET statement_timeout = 0")
    with suppress(asyncpg.InvalidParameterValueError):  # a server on Windows cannot watch its clients
        await connection.execute(f"SET client_connection_check_interval = '{_CHECK_INTERVAL}'")
