"""How the pool keeps what the settings say: sizes, waiting, idle time, lifetime, sessions, closing."""
# ruff: noqa: ASYNC110 - a server tells nobody that a session has ended

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db import dsn, pool
from sherpa.db.engine import Database
from sherpa.db.errors import (
    ConnectionLostError,
    DatabaseUnavailableError,
    PoolTimeoutError,
)
from sherpa.db.pool import PoolStats
from sherpa.db.session import Session
from sherpa.devstack.harness.waiting import eventually

NAME = "pool-test"
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
SESSIONS = f"SELECT array_agg(pid ORDER BY pid) {OURS}"


def open_with(settings: DatabaseSettings, **changes: Any) -> Database:
    """Return a database whose settings differ so, to be opened."""
    return Database(replace(settings, **changes), application_name=NAME)


async def test_sizes_are_readable(database_settings: DatabaseSettings) -> None:
    """pool_stats() tells what is open, idle and in use, and the bounds."""
    async with open_with(database_settings, min_connections=2, max_connections=3) as database:
        opened = database.pool_stats()
        async with database.connection(), database.transaction():
            used = database.pool_stats()
    closed = database.pool_stats()

    assert PoolStats(size=2, idle=2, in_use=0, min=2, max=3) == opened
    assert PoolStats(size=2, idle=0, in_use=2, min=2, max=3) == used
    assert PoolStats(size=0, idle=0, in_use=0, min=2, max=3) == closed


async def test_max_connections_hold(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """However many ask, the server sees no more sessions than the maximum, and everyone is served."""
    async with open_with(database_settings, max_connections=3) as database:

        async def count() -> int:
            async with database.connection() as lent:
                return len(await lent.fetchval(SESSIONS, NAME))

        seen = await asyncio.gather(*(count() for _ in range(20)))

    assert 3 == max(seen)


@pytest.mark.parametrize("way", ["transaction", "connection", "query"])
async def test_waiting_for_connection_is_bounded(database_settings: DatabaseSettings, way: str) -> None:
    """Where all are in use, each way in gives up after the acquire timeout and says what to do."""
    async with (
        open_with(
            database_settings, min_connections=0, max_connections=1, acquire_timeout_seconds=0.1
        ) as database,
        database.connection(),
    ):
        with pytest.raises(PoolTimeoutError) as caught:
            await _use(database, way)

    assert (
        "No database connection became free within 0.1 s: all 1 are in use."
        " Look for long transactions in pg_stat_activity, or raise DATABASE_MAX_CONNECTIONS."
    ) == str(caught.value)


async def test_connection_comes_back_after_timeout(database_settings: DatabaseSettings) -> None:
    """Whoever gave up waiting takes nothing away: the pool serves as before."""
    async with open_with(
        database_settings, min_connections=0, max_connections=1, acquire_timeout_seconds=0.1
    ) as database:
        async with database.connection():
            with pytest.raises(PoolTimeoutError):
                await _use(database, "transaction")
        await _use(database, "transaction")

        assert 0 == database.pool_stats().in_use


async def test_idle_connections_close_down_to_minimum(database_settings: DatabaseSettings) -> None:
    """Connections that nobody uses are closed after the idle timeout, but never below the minimum."""
    async with open_with(
        database_settings, min_connections=2, max_connections=4, idle_timeout_seconds=0.05
    ) as database:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(database.connection())
            used = database.pool_stats().size
        await eventually(lambda: database.pool_stats().size == 2)
        await asyncio.sleep(0.2)  # four idle timeouts more

        assert (4, 2) == (used, database.pool_stats().size)


async def test_idle_connections_retire(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """A connection past its lifetime is replaced though nobody uses it: the minimum stays open."""
    async with open_with(database_settings, min_connections=2, max_lifetime_seconds=0.3):
        before = set(await connection.fetchval(SESSIONS, NAME))
        async with asyncio.timeout(10):
            while len(now := set(await connection.fetchval(SESSIONS, NAME) or ()) - before) < 2:
                await asyncio.sleep(0.02)

    assert 2 == len(now)


async def test_connection_in_use_retires_on_release(database_settings: DatabaseSettings) -> None:
    """A connection past its lifetime works on for who holds it, and is closed when given back."""
    async with open_with(database_settings, min_connections=0, max_lifetime_seconds=0.1) as database:
        async with database.transaction() as transaction:
            session: Any = transaction.connection
            await eventually(lambda: bool(session.is_expired))
            still = await session.fetchval("SELECT 1")

        assert (1, 0) == (still, database.pool_stats().size)


async def test_lifetimes_differ(database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections opened together don't retire together, and none lives longer than the settings say."""
    lifetimes: list[float] = []
    monkeypatch.setattr(Session, "retire_after", lambda _self, seconds: lifetimes.append(seconds))

    async with open_with(database_settings, min_connections=5, max_connections=5, max_lifetime_seconds=100.0):
        pass

    assert 5 == len(set(lifetimes))
    assert all(90 <= lifetime <= 100 for lifetime in lifetimes)


@pytest.mark.parametrize("cache_size", [100, 0])
async def test_sessions_are_set_up(database_settings: DatabaseSettings, cache_size: int) -> None:
    """Sessions carry the application's name, run in UTC, and may not idle in a transaction, pooler or not."""
    query = """
        SELECT current_setting('application_name'), current_setting('TimeZone'),
            current_setting('idle_in_transaction_session_timeout')
    """
    async with (
        open_with(database_settings, statement_cache_size=cache_size) as database,
        database.transaction() as transaction,
    ):
        (found,) = await transaction.connection.fetch(query)

    assert (NAME, "UTC", "1min") == tuple(found)


@pytest.mark.parametrize("cache_size", [100, 0])
async def test_idle_transaction_is_ended(
    database_settings: DatabaseSettings, cache_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL itself ends a session that idles in a transaction, and the pool takes its place back."""
    monkeypatch.setattr(dsn, "IDLE_IN_TRANSACTION_LIMIT", "100ms")
    async with open_with(database_settings, statement_cache_size=cache_size) as database:
        with pytest.raises(ConnectionLostError):
            async with database.transaction():
                await eventually(lambda: database.pool_stats().in_use == 0)

        await _use(database, "transaction")


async def test_statement_of_lost_client_is_ended(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """A statement whose client has gone is ended by the server within seconds, not at its end."""
    running = f"SELECT count(*) {OURS} AND wait_event = 'PgSleep'"
    async with open_with(database_settings) as database:
        async with database.connection() as lent:
            sleep = asyncio.create_task(lent.execute("SELECT pg_sleep(600)"))
            await eventually(lambda: connection.fetchval(running, NAME))
            lent.terminate()
            await asyncio.gather(sleep, return_exceptions=True)

        await eventually(lambda: connection.fetchval(running, NAME), 0, within_seconds=10)


@pytest.mark.parametrize(("cache_size", "expected"), [(100, 1), (0, 0)])
async def test_statement_cache_size_holds(
    database_settings: DatabaseSettings, cache_size: int, expected: int
) -> None:
    """With a statement cache, statements are prepared by name; without, as behind PgBouncer, none is."""
    statement = "SELECT $1::jsonb"
    async with (
        open_with(database_settings, statement_cache_size=cache_size) as database,
        database.transaction() as transaction,
    ):
        for _ in range(2):
            await transaction.connection.fetchval(statement, "{}")
        found = await transaction.connection.fetchval(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = $1", statement
        )

    assert expected == found


async def test_cancelled_release_frees_place(database_settings: DatabaseSettings) -> None:
    """A task cancelled while it gives its connection back takes no place with it."""
    async with open_with(database_settings) as database:
        for number in range(6):
            task = asyncio.create_task(_use(database, "connection"))
            while not database.pool_stats().in_use:
                await asyncio.sleep(0)
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await eventually(lambda: database.pool_stats().in_use == 0)

        assert 0 == database.pool_stats().in_use


async def test_cancelled_release_fails_in_silence(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that can't be reset after its task was cancelled leaves no exception unretrieved."""
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT_SECONDS", 0.2)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    async with open_with(database_settings, min_connections=1, max_connections=1) as database:
        async with database.connection() as connection:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            task = asyncio.create_task(_use(database, "connection"))
            for _ in range(2):  # in its statement, and then where the connection is given back
                await asyncio.wait({task}, timeout=0.05)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await eventually(lambda: database.pool_stats().in_use == 0)
        finally:
            os.kill(backend, signal.SIGCONT)
    gc.collect()

    assert [] == complaints


async def test_new_connection_needs_server(database_settings: DatabaseSettings, own_server: Any) -> None:
    """When the server goes away, asking for a connection says where it was looked for."""
    await asyncio.to_thread(own_server.server.start)
    async with open_with(own_server.settings()) as database:
        await asyncio.to_thread(own_server.server.stop)
        await eventually(lambda: database.pool_stats().size == 0)
        with pytest.raises(DatabaseUnavailableError, match=f"127.0.0.1:{own_server.port}/postgres"):
            await _use(database, "transaction")


async def test_lost_connections_are_told_in_one_line(
    own_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server is away, the pool that wants its connections back says why, without a traceback."""
    await asyncio.to_thread(own_server.server.start)
    async with open_with(own_server.settings(), min_connections=1):
        await asyncio.to_thread(own_server.server.stop)
        await eventually(lambda: any(record.name == "asyncpg.pool" for record in caplog.records))

    told = next(record for record in caplog.records if record.name == "asyncpg.pool")
    assert told.getMessage().partition("retrying: ")[2]
    assert told.exc_info is None


async def _use(database: Database, way: str) -> None:
    """Run a query in one of the ways there are."""
    match way:
        case "transaction":
            async with database.transaction() as transaction:
                await transaction.connection.fetchval("SELECT 1")
        case "connection":
            async with database.connection() as lent:
                await lent.fetchval("SELECT 1")
        case "query":
            await database.engine.run_ddl("SELECT 1")
        case _:
            await database.engine.run_ddl("SELECT 1", in_pool=False)
