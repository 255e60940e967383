"""What Piccolo 1.38's transaction does wrong when BEGIN, COMMIT or ROLLBACK fails, and ours does not."""
# ruff: noqa: ASYNC110 - a server tells nobody that a session has ended

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any

import asyncpg
import pytest
from piccolo.engine.postgres import PostgresTransaction  # noqa: TID251 - the original, to show what it does

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError, DatabaseError
from sherpa.db.pool import ConnectionPool
from sherpa.db.postgres import PooledEngine

type Fault = Callable[[Database], Coroutine[Any, Any, None]]

SCHEMA = """
    CREATE TABLE parents (id int PRIMARY KEY);
    CREATE TABLE children (
        parent int CONSTRAINT children_parent_fkey REFERENCES parents DEFERRABLE INITIALLY DEFERRED
    );
"""
STUCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"
)


class OriginalEngine(PooledEngine):
    """The engine with Piccolo's own transaction, kept in Piccolo's own variable."""

    def __init__(self, connections: ConnectionPool) -> None:
        super().__init__(connections)
        self.current_transaction = ContextVar("original", default=None)  # type: ignore[assignment]  # Piccolo's

    def transaction(  # type: ignore[override]  # the original is what is shown
        self, allow_nested: bool = True, **_options: object
    ) -> PostgresTransaction:
        """Return Piccolo's own."""
        return PostgresTransaction(self, allow_nested=allow_nested)


@pytest.fixture(autouse=True)
async def schema(connection: asyncpg.Connection) -> None:
    """Make the tables that the faults need."""
    await connection.execute(SCHEMA)


@pytest.fixture
async def original(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Return a database whose transactions are Piccolo's own."""
    database = Database(database_settings, application_name="tests")
    database.engine = OriginalEngine(database._connections)
    await database.open()
    yield database
    with suppress(DatabaseError):
        await database.close(grace_seconds=0.1)


@asynccontextmanager
async def frozen(backend: int) -> AsyncIterator[None]:
    """Stop the server process for the block, so that what is sent to it gets no answer."""
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


async def turns(number: int) -> None:
    """Let the event loop turn so often."""
    for _ in range(number):
        await asyncio.sleep(0)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end, whatever that is."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def commit_breaks_a_deferred_key(database: Database) -> None:
    """COMMIT fails on a healthy server: a deferred foreign key."""
    async with database.engine.transaction() as transaction:
        await transaction.connection.execute("INSERT INTO children VALUES (0)")


async def commit_is_cancelled(database: Database) -> None:
    """COMMIT is sent and the task cancelled before the answer."""
    await _cancel_at_the_end_of(database, _leave)


async def rollback_is_cancelled(database: Database) -> None:
    """The body fails, ROLLBACK is sent, and the task cancelled before the answer."""
    await _cancel_at_the_end_of(database, _fail)


async def _leave() -> None:
    """End the body well."""


async def _fail() -> None:
    raise ValueError("the body's own error")


async def _cancel_at_the_end_of(database: Database, end: Callable[[], Awaitable[None]]) -> None:
    backend: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def work() -> None:
        async with database.engine.transaction() as transaction:
            backend.set_result(await transaction.connection.fetchval("SELECT pg_backend_pid()"))
            await go_on.wait()
            await end()

    task = asyncio.create_task(work())
    async with frozen(await backend):
        go_on.set()
        await turns(5)
        await cancel(task)


async def begin_is_cancelled(database: Database) -> None:
    """The task is cancelled between the connection's arrival and BEGIN's answer."""

    async def work() -> None:
        async with database.engine.transaction():
            await asyncio.Event().wait()

    async with database.connection() as connection:  # the pool's only open one: the next to be used
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    async with frozen(backend):
        task = asyncio.create_task(work())
        await turns(5)
        await cancel(task)


FAULTS: list[Fault] = [
    commit_breaks_a_deferred_key,
    commit_is_cancelled,
    rollback_is_cancelled,
    begin_is_cancelled,
]


async def _run_in_task(fault: Fault, database: Database) -> None:
    await asyncio.gather(asyncio.create_task(fault(database)), return_exceptions=True)


async def _eventually(query: str, expected: object, connection: asyncpg.Connection) -> object:
    """Return the query's value, once it is the expected one or after 5 s: sessions end in their time."""
    async with asyncio.timeout(5):
        with suppress(TimeoutError):
            while (found := await connection.fetchval(query)) != expected:
                await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_leaves_pool_whole(
    database: Database, connection: asyncpg.Connection, fault: Fault
) -> None:
    """After as many faults as the pool has places, all are free and no session stays in a transaction."""
    for _ in range(database.pool_stats().max):
        await _run_in_task(fault, database)

    assert 0 == database.pool_stats().in_use
    assert 0 == await _eventually(STUCK, 0, connection)


@pytest.mark.parametrize("fault", FAULTS)
async def test_pool_serves_after_fault(database: Database, fault: Fault) -> None:
    """After the fault, as many transactions as the pool has places run at the same time."""
    for _ in range(database.pool_stats().max):
        await _run_in_task(fault, database)

    everyone = asyncio.Barrier(database.pool_stats().max)

    async def work() -> int:
        async with database.transaction() as transaction:
            await everyone.wait()
            return int(await transaction.connection.fetchval("SELECT 1"))

    found = await asyncio.gather(*(work() for _ in range(everyone.parties)))

    assert {1} == set(found)


@pytest.mark.parametrize("fault", FAULTS)
async def test_piccolos_own_leaks(original: Database, fault: Fault) -> None:
    """Piccolo's own transaction keeps the connection for ever; once this fails, ours may not be needed."""
    await _run_in_task(fault, original)

    assert 1 == original.pool_stats().in_use


async def _insert_and_fail_after_failed_commit(database: Database) -> None:
    with suppress(Exception):
        await commit_breaks_a_deferred_key(database)
    with suppress(ValueError):
        async with database.engine.transaction():
            await database.engine.run_ddl("INSERT INTO parents VALUES (1)")
            await _fail()


async def test_task_keeps_atomicity_after_failed_commit(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The task whose COMMIT failed opens real transactions afterwards: a failed one leaves no row."""
    await _insert_and_fail_after_failed_commit(database)

    assert 0 == await connection.fetchval("SELECT count(*) FROM parents")


async def test_piccolos_own_loses_atomicity(original: Database, connection: asyncpg.Connection) -> None:
    """With Piccolo's own, the task's next transaction is autocommit, and a failed one leaves its row."""
    await _insert_and_fail_after_failed_commit(original)

    assert 1 == await connection.fetchval("SELECT count(*) FROM parents")


async def _query_after_the_transaction_it_was_born_in(database: Database) -> object:
    over = asyncio.Event()

    async def work() -> object:
        await over.wait()
        return await database.engine.run_ddl("SELECT 1 AS one")

    async with database.engine.transaction():
        task = asyncio.create_task(work())
    over.set()
    return await task


async def test_child_task_outlives_transaction(database: Database) -> None:
    """A task that was started in a transaction and lives longer uses the pool as any other."""
    rows = await _query_after_the_transaction_it_was_born_in(database)

    assert [{"one": 1}] == database.engine.transform_response_to_dicts(rows)


async def test_piccolos_own_poisons_child_task(original: Database) -> None:
    """With Piccolo's own, such a task can never query again."""
    with pytest.raises(ConnectionLostError):
        await _query_after_the_transaction_it_was_born_in(original)


@pytest.mark.parametrize("number", range(12))
async def test_begin_cancelled_after_any_turn(
    database: Database, connection: asyncpg.Connection, number: int
) -> None:
    """Cancelled after any number of turns, entering a transaction leaves nothing behind."""

    async def work() -> None:
        async with database.transaction():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await turns(number)
    await cancel(task)

    assert 0 == database.pool_stats().in_use
    assert 0 == await _eventually(STUCK, 0, connection)
