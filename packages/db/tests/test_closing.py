"""Opening and closing: once, for everyone who came in time, and with an end."""
# ruff: noqa: ASYNC110 - a server tells nobody that a session has ended

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError, DatabaseClosedError, DatabaseError
from sherpa.db.pool import PoolStats
from sherpa.devstack.harness.waiting import eventually

NAME = "closing-test"
SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"


def closed(settings: DatabaseSettings, **changes: Any) -> Database:
    """Return a database whose settings differ so, to be opened."""
    return Database(replace(settings, **changes), application_name=NAME)


@pytest.mark.parametrize("way", ["transaction", "connection", "query", "query outside the pool"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_closed_database_refuses(database_settings: DatabaseSettings, way: str, when: str) -> None:
    """Before open() and after close() each way in says so, instead of connecting on its own."""
    database = closed(database_settings)
    if when == "after":
        await database.open()
        await database.close()

    with pytest.raises(DatabaseClosedError):
        await _use(database, way)


async def test_database_opens_again(database_settings: DatabaseSettings) -> None:
    """A closed database can be opened again; an open one can't be opened twice; closing twice is nothing."""
    database = closed(database_settings)
    await database.open()
    with pytest.raises(DatabaseError, match="open already"):
        await database.open()
    await database.close()
    await database.close()

    async with database:
        await _use(database, "transaction")


async def test_second_open_at_once_is_refused(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Of two that open the same Database at the same time, one does; no session is left when it is closed."""
    database = closed(database_settings, min_connections=2)
    opened = await asyncio.gather(database.open(), database.open(), return_exceptions=True)
    await database.close()

    assert {type(None), DatabaseError} == {type(each) for each in opened}
    await eventually(lambda: connection.fetchval(f"SELECT count(*) {SESSIONS}", NAME), 0)


async def test_close_serves_who_waits(database_settings: DatabaseSettings) -> None:
    """Who waits for a connection when the closing begins gets it; who comes later is refused."""
    database = closed(database_settings, max_connections=1)
    await database.open()
    go_on = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as transaction:
            await go_on.wait()
            await transaction.connection.fetchval("SELECT pg_sleep(0.05)")

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    while not database.pool_stats().in_use:
        await asyncio.sleep(0)
    closing = asyncio.create_task(database.close(grace_seconds=10))
    await asyncio.sleep(0)
    with pytest.raises(DatabaseClosedError):
        await work()
    go_on.set()

    assert [None] * 5 == await asyncio.gather(*tasks, closing)


async def test_close_turns_who_waits_away_after_grace(database_settings: DatabaseSettings) -> None:
    """Who still waits for a connection when the grace time is over is told that the database is closed."""
    database = closed(database_settings, max_connections=1)
    await database.open()
    async with database.connection():
        waiting = asyncio.create_task(_use(database, "transaction"))
        await asyncio.sleep(0)
        await database.close(grace_seconds=0.05)

    with pytest.raises(DatabaseClosedError):
        await waiting


async def test_close_waits_for_work(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Work that ends within the grace time is finished and committed."""
    await connection.execute("CREATE TABLE done (id int)")
    database = closed(database_settings)
    await database.open()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with database.transaction() as transaction:
            begun.set()
            await go_on.wait()
            await transaction.connection.execute("INSERT INTO done VALUES (1)")

    task = asyncio.create_task(work())
    await begun.wait()
    closing = asyncio.create_task(database.close(grace_seconds=10))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(task, closing)

    assert 1 == await connection.fetchval("SELECT count(*) FROM done")


async def test_close_ends_work_after_grace(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Work that goes on is cut off: close() returns, the work gets an error, later work is refused."""
    database = closed(database_settings)
    await database.open()
    begun = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as transaction:
            begun.set()
            await transaction.connection.execute("SELECT pg_sleep(600)")

    task = asyncio.create_task(work())
    await begun.wait()
    await database.close(grace_seconds=0.05)

    with pytest.raises(ConnectionLostError):
        await task
    await connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {SESSIONS}", NAME)  # it would sleep on
    assert PoolStats(size=0, idle=0, in_use=0, min=1, max=5) == database.pool_stats()


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
