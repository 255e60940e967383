"""The one session that a run works on: opened with errors that say what to do, closed whatever happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
from asyncpg.transaction import Transaction

from sherpa.config import DatabaseSettings
from sherpa.db.connecting import connect_error
from sherpa.db.dsn import connect_options, describe_server, is_behind_pooler
from sherpa.db.errors import DatabaseUnavailableError
from sherpa.db.migrations.errors import ConnectionFailedError, MigrationError
from sherpa.db.migrations.events import Notice, Report, ServerAway, ignore
from sherpa.db.migrations.failure import DRIVER_ERRORS, explain, is_lost, name_end
from sherpa.db.migrations.pauses import pauses

APPLICATION_NAME = "sherpa-migrate"
OLDEST_SERVER = 15

# A migration that queues for a table's lock makes every query behind it queue as well: give up early.
LOCK_SECONDS = 5.0
# What the role or the database sets for an application could end a migration halfway.
_OURS = f"""
SET lock_timeout = '{LOCK_SECONDS}s'; SET statement_timeout = 0; SET idle_session_timeout = 0;
SET default_transaction_isolation = 'read committed'; SET quote_all_identifiers = off;
"""
_HAS_TRANSACTION_TIMEOUT = 17
# A machine that dies takes no leave, and by itself TCP waits two hours before it counts as gone.
_NOTICE_DEAD_CLIENTS = """
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '25s'
"""

# A server that hangs must not keep whoever presses Ctrl-C.
CLOSE_SECONDS = 5.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


@asynccontextmanager
async def open_session(
    settings: DatabaseSettings, report: Report = ignore, *, wait_seconds: float = 0
) -> AsyncIterator[asyncpg.Connection]:
    """Connect for the length of the block; the server's notices go to `report`.

    A server that can't be reached, or is starting, is tried again for `wait_seconds`; one that refuses the
    login is not. Raises `ConnectionFailedError`: no server, no such database, not admitted, a server too old,
    a connection that breaks; and `MigrationError` for what else the server turns down.
    """
    connection = await _connect_within(settings, wait_seconds, report)

    def tell(_: object, message: asyncpg.PostgresLogMessage) -> None:
        report(Notice(message.message))

    connection.add_log_listener(tell)
    try:
        await _refuse_pooler(connection, settings)
        await _prepare(connection)
        yield connection
    except DRIVER_ERRORS as error:
        raise _explain(connection, describe_server(settings), error) from error
    finally:
        connection.remove_log_listener(tell)
        with suppress(*DRIVER_ERRORS, OSError):  # it is ended all the same
            await connection.close(timeout=CLOSE_SECONDS)


async def _connect_within(
    settings: DatabaseSettings, wait_seconds: float, report: Report
) -> asyncpg.Connection:
    server = describe_server(settings)
    end = time.monotonic() + wait_seconds
    told = False
    for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE):
        try:
            return await _connect(settings, server)
        except DatabaseUnavailableError as error:
            left = end - time.monotonic()
            if left <= 0:
                waited = f" We waited {wait_seconds:g} s." if wait_seconds else ""
                raise ConnectionFailedError(
                    f"{error}{waited} `inv up` starts the servers of a checkout."
                ) from error.__cause__
            if not told:
                report(ServerAway(str(error)))
                told = True
            await asyncio.sleep(min(pause, left))
    raise AssertionError("pauses never end")


async def _connect(settings: DatabaseSettings, server: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(**connect_options(settings, APPLICATION_NAME))
    except Exception as error:
        reason = connect_error(error, server)
        if reason is None:
            raise
        if isinstance(reason, DatabaseUnavailableError):
            raise reason from error
        raise ConnectionFailedError(str(reason)) from error


def _explain(connection: asyncpg.Connection, server: str, error: Exception) -> MigrationError:
    if is_lost(connection, error):
        return ConnectionFailedError(
            f"The connection to PostgreSQL at {server} ended ({name_end(error)}). "
            f"No migration was under way: run the command again."
        )
    reason, advice = explain(error, "Mend that, then run the command again.")
    return MigrationError(f"PostgreSQL at {server} refused: {reason}\n{advice}")


async def _refuse_pooler(connection: asyncpg.Connection, settings: DatabaseSettings) -> None:
    """Refuse before anything is set: settings, and the lock, would stay on a session that others get next."""
    if not is_behind_pooler(settings):
        return
    # A pooler gives its clients numbers of its own.
    if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
        raise ConnectionFailedError(
            f"Behind {describe_server(settings)} is a pooler, which may give our session to others. "
            f"Let DATABASE_URL point at PostgreSQL itself for this command."
        )


async def _prepare(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise ConnectionFailedError(
            f"The server is PostgreSQL {version.major}; the migrations need {OLDEST_SERVER} or newer."
        )
    await connection.execute(_OURS + _NOTICE_DEAD_CLIENTS)
    if version.major >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute("SET transaction_timeout = 0")


@asynccontextmanager
async def transaction(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Begin, and commit at the end of the block; a failed block is rolled back, even by a server that hangs.

    asyncpg's own waits for the ROLLBACK's answer without end: Ctrl-C would hang with the server.
    """
    block = connection.transaction()
    await block.start()
    try:
        yield
    except BaseException:
        await _roll_back(connection, block)
        raise
    await block.commit()


@asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Begin, and roll back at the end of the block, however that comes."""
    block = connection.transaction()
    await block.start()
    try:
        yield
    finally:
        await _roll_back(connection, block)


async def _roll_back(connection: asyncpg.Connection, block: Transaction) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await block.rollback()
    except (*DRIVER_ERRORS, OSError):
        connection.terminate()  # the server rolls back what has lost its client
