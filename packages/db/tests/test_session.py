"""A connection given back is as new for whoever gets it next, whatever was done on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionProxy

from sherpa.config import DatabaseSettings
from sherpa.db import pool
from sherpa.db.engine import Database
from sherpa.db.errors import TransactionFailedError
from sherpa.db.statements import leaves_session_alone
from sherpa.devstack.harness.waiting import eventually

type Send = Callable[[PoolConnectionProxy, str], Awaitable[object]]

ITS_SESSION = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'original'"
CHANGE = "SELECT set_config('application_name', 'changed', false)"


async def _prepare(connection: PoolConnectionProxy, query: str) -> object:
    return await (await connection.prepare(query)).fetch()


async def _open_cursor(connection: PoolConnectionProxy, query: str) -> object:
    async with connection.transaction():
        return [row async for row in connection.cursor(query)]


async def _copy(connection: PoolConnectionProxy, query: str) -> object:
    async def forget(_data: bytes) -> None: ...

    return await connection.copy_from_query(query, output=forget)


WAYS: dict[str, Send] = {
    "execute": lambda connection, query: connection.execute(query),
    "execute with arguments": lambda connection, query: connection.execute(f"{query} WHERE $1", True),
    "executemany": lambda connection, query: connection.executemany(f"{query} WHERE $1", [(True,)]),
    "fetch": lambda connection, query: connection.fetch(query),
    "fetchval": lambda connection, query: connection.fetchval(query),
    "fetchrow": lambda connection, query: connection.fetchrow(query),
    "fetchmany": lambda connection, query: connection.fetchmany(f"{query} WHERE $1", [(True,)]),
    "prepare": _prepare,
    "cursor": _open_cursor,
    "copy": _copy,
}


@pytest.fixture
async def one(database_settings: DatabaseSettings) -> Any:
    """Return a database with a single connection, so that the next user gets the same."""
    settings = replace(database_settings, min_connections=1, max_connections=1)
    async with Database(settings, application_name="original") as database:
        yield database


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_of_sending_is_noticed(one: Database, way: str) -> None:
    """A setting of the session is forgotten, whichever call changed it."""
    async with one.connection() as connection:
        before = await connection.fetchval("SELECT pg_backend_pid()")
        await WAYS[way](connection, CHANGE)
        changed = await connection.fetchval("SELECT current_setting('application_name')")
    async with one.connection() as connection:
        after = await connection.fetchval("SELECT pg_backend_pid()")
        found = await connection.fetchval("SELECT current_setting('application_name')")

    assert before == after
    assert ("changed", "original") == (changed, found)


@pytest.mark.parametrize(
    "statement",
    [
        "SET work_mem = '65kB'",
        "set session work_mem = '65kB'",
        "/* a comment */ SET work_mem = '65kB'",
        "SELECT 1; SET work_mem = '65kB'",
        "UPDATE pg_settings SET setting = '65' WHERE name = 'work_mem'",
        "DO $$ BEGIN PERFORM set_config('work_mem', '65kB', false); END $$",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1)",
        "LISTEN channel",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
        "BEGIN; SET work_mem = '65kB'; SELECT pg_advisory_lock(1)",
    ],
)
async def test_session_is_as_new(one: Database, statement: str) -> None:
    """Settings, session locks, LISTEN, cursors and open transactions are gone when the next one comes."""
    state = """
        SELECT current_setting('work_mem'),
            (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
            (SELECT count(*) FROM pg_listening_channels()),
            (SELECT count(*) FROM pg_cursors WHERE is_holdable)
    """
    async with one.connection() as connection:
        before = await connection.fetch(state)
        with suppress(asyncpg.PostgresError):
            await connection.execute(statement)
        changed = await connection.fetch(state)
    async with one.connection() as connection:
        after = await connection.fetch(state)

    assert before != changed
    assert before == after


@pytest.mark.filterwarnings("ignore:.*active notification listener:asyncpg.InterfaceWarning")
async def test_listener_is_forgotten(one: Database) -> None:
    """A listener that was left on the connection hears nothing of what comes for the next user."""
    async with one.connection() as connection:
        await connection.add_listener("channel", lambda *_: None)
    async with one.connection() as connection:
        found = await connection.fetch("SELECT pg_listening_channels()")

    assert [] == found


async def test_plain_work_costs_no_reset(one: Database, connection: asyncpg.Connection) -> None:
    """After reads, writes and transactions no reset is sent: the last statement is the caller's own."""
    await connection.execute("CREATE TABLE items (id int)")
    last = f"SELECT query {ITS_SESSION}"

    async with one.connection() as lent:
        await lent.fetchval("SELECT $1::int", 1)
    after_read = await connection.fetchval(last)
    async with one.transaction(), one.savepoint() as transaction:
        await transaction.connection.execute("INSERT INTO items VALUES ($1)", 1)
    after_write = await connection.fetchval(last)

    assert ("SELECT $1::int", "COMMIT;") == (after_read, after_write)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", True),
        ("  select 1;  ", True),
        ("WITH x AS (SELECT 1) TABLE x", True),
        ("SET LOCAL lock_timeout = '1s'", True),
        ("SET lock_timeout = '1s'", False),
        ("RESET ALL", False),
        ("SELECTED", False),
        ("SELECT 1; SELECT 2", False),
        ("-- SELECT\nSET x = 1", False),
        ("EXPLAIN SELECT 1", False),
        ("PREPARE x AS SELECT 1", False),
        ("CREATE TEMP TABLE x ()", False),
    ],
)
def test_statements_are_told_apart(statement: str, expected: object) -> None:
    """What is surely plain is; everything else may change the session."""
    assert expected is leaves_session_alone(statement)


async def test_schema_has_no_function_that_changes_the_session(connection: asyncpg.Connection) -> None:
    """Functions are not looked into when a statement calls them, so those of our schema must be harmless."""
    found = await connection.fetch(r"""
        SELECT proname FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND prosrc ~* '\mset\M|set_config|pg_settings|advisory|listen'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    """)

    assert [] == found


async def test_failed_commit_is_no_success(one: Database) -> None:
    """A transaction of asyncpg's own, too, raises when PostgreSQL answers COMMIT with ROLLBACK."""
    with pytest.raises(TransactionFailedError):  # noqa: PT012 - the block is what fails
        async with one.connection() as connection, connection.transaction():
            with suppress(asyncpg.DivisionByZeroError):
                await connection.execute("SELECT 1 / 0")


async def _sleep(database: Database) -> None:
    async with database.connection() as lent:
        await lent.execute("SELECT pg_sleep(600)")


async def test_cancelled_statement_keeps_session(one: Database, connection: asyncpg.Connection) -> None:
    """A statement that is cancelled while it runs is ended on the server, and its session used again."""
    sleeping = f"SELECT pid {ITS_SESSION} AND wait_event = 'PgSleep'"
    task = asyncio.create_task(_sleep(one))
    while not (before := await connection.fetchval(sleeping)):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with one.connection() as lent:
        after = await lent.fetchval("SELECT pg_backend_pid()")

    assert before == after


async def test_lost_cancellation_frees_place(
    one: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel request that the server doesn't honour ends the session: nobody waits for the statement."""
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT_SECONDS", 0.05)
    task = asyncio.create_task(_sleep(one))
    await eventually(lambda: one.pool_stats().in_use)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with one.connection() as lent:
        found = await lent.fetchval("SELECT 1")
    await connection.execute(  # the server may sleep on
        f"SELECT pg_terminate_backend(pid, 5000) {ITS_SESSION} AND wait_event = 'PgSleep'"
    )

    assert 1 == found


TABLE_LOCKS = "SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass"


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize("turns", range(5))
async def test_cancelled_statement_leaves_no_lock(
    one: Database, connection: asyncpg.Connection, turns: int
) -> None:
    """A read that is cancelled when it was parsed and not yet run holds no lock on its table in the pool."""

    async def read() -> None:
        async with one.connection() as lent:
            await lent.fetch("SELECT id FROM items")

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 - the server answers while the loop stands still
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert 0 == await connection.fetchval(TABLE_LOCKS)


@pytest.mark.usefixtures("ids")
async def test_statement_that_never_ran_leaves_no_lock(one: Database, connection: asyncpg.Connection) -> None:
    """A statement that was prepared and never run holds no lock on its table in the pool."""
    async with one.connection() as lent:
        await lent.prepare("SELECT id FROM items")
        held = await connection.fetchval(TABLE_LOCKS)

    assert (1, 0) == (held, await connection.fetchval(TABLE_LOCKS))
