"""How transactions end when the server refuses, the connection dies, or nobody answers."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them
# ruff: noqa: ASYNC110 - a server tells nobody that it has got so far

import asyncio
from typing import Any

import asyncpg
import pytest

from sherpa.db import pool
from sherpa.db.engine import Database
from sherpa.db.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    ConstraintError,
    TransactionConflictError,
)
from sherpa.devstack.harness.waiting import eventually

pytestmark = pytest.mark.usefixtures("ids")

INSERT = "INSERT INTO items VALUES ($1)"
COUNT = "SELECT count(*) FROM items"
COMMITTING = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT;'"
END_SLEEP = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'
"""
END_COMMIT = f"SELECT pg_terminate_backend(pid, 5000) {COMMITTING}"


async def test_serialization_failure_at_commit(database: Database, ids: Any) -> None:
    """A COMMIT that PostgreSQL refuses in favour of another transaction is a conflict; its place is free."""

    async def write_skew(value: int, read: asyncio.Barrier, other: asyncio.Event | None) -> None:
        async with database.transaction(isolation="serializable") as transaction:
            await transaction.connection.fetchval(COUNT)
            await read.wait()
            await transaction.connection.execute(INSERT, value)
            await read.wait()
            if other:
                await other.wait()

    read, first = asyncio.Barrier(2), asyncio.Event()
    second = asyncio.create_task(write_skew(2, read, first))
    await write_skew(1, read, None)
    first.set()
    with pytest.raises(TransactionConflictError) as caught:
        await second

    assert isinstance(caught.value.__cause__, asyncpg.SerializationError)
    assert [1] == await ids.committed()
    assert 0 == database.pool_stats().in_use


async def test_constraint_error_at_commit(database: Database, connection: asyncpg.Connection) -> None:
    """A deferred constraint that fails at COMMIT arrives as the package's error."""
    await connection.execute(
        "CREATE TABLE parts"
        "(item int CONSTRAINT parts_item_fkey REFERENCES items DEFERRABLE INITIALLY DEFERRED)"
    )

    with pytest.raises(ConstraintError) as caught:
        async with database.transaction() as transaction:
            await transaction.connection.execute("INSERT INTO parts VALUES (9)")

    assert "parts_item_fkey" == caught.value.constraint


async def test_lost_connection_keeps_bodys_error(database: Database, connection: asyncpg.Connection) -> None:
    """When the session dies and the body fails for a reason of its own, that reason arrives."""
    with pytest.raises(ValueError, match="my own"):
        async with database.transaction() as transaction:
            await _terminate(transaction.connection, connection)
            raise ValueError("my own")

    assert 0 == database.pool_stats().in_use


async def test_lost_connection_before_commit(database: Database, connection: asyncpg.Connection) -> None:
    """A session known to be dead before COMMIT is a lost connection: nothing was committed."""
    with pytest.raises(ConnectionLostError):
        async with database.transaction() as transaction:
            await _terminate(transaction.connection, connection)
            while database.pool_stats().in_use:
                await asyncio.sleep(0.01)


async def test_commit_beside_running_statement(database: Database, ids: Any) -> None:
    """COMMIT while a task that was not waited for uses the connection fails, and nothing is committed."""
    running: asyncio.Task[str] | None = None

    with pytest.raises(asyncpg.InterfaceError, match="another operation is in progress"):
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            running = asyncio.create_task(transaction.connection.execute("SELECT pg_sleep(60)"))
            await asyncio.sleep(0)

    assert running is not None
    await asyncio.gather(running, return_exceptions=True)
    await ids.connection.execute(END_SLEEP)  # the server would sleep on
    assert ([], 0) == (await ids.committed(), database.pool_stats().in_use)


async def test_lost_connection_in_statement(database: Database, connection: asyncpg.Connection) -> None:
    """A session that dies under a statement is a lost connection, the driver's error on __cause__."""
    with pytest.raises(ConnectionLostError) as caught:
        async with database.transaction() as transaction:
            await _terminate(transaction.connection, connection)
            await transaction.connection.fetchval("SELECT 1")

    assert type(caught.value.__cause__).__module__.startswith("asyncpg.")


async def test_unknown_commit_says_so(database: Database, connection: asyncpg.Connection) -> None:
    """When the session dies while COMMIT runs, the error says that the outcome is unknown."""
    await _make_commit_slow(connection)

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)

    task = asyncio.create_task(work())
    await _until_commit_runs(connection)
    await connection.execute(END_COMMIT)
    with pytest.raises(CommitOutcomeUnknownError):
        await task

    assert 0 == database.pool_stats().in_use


async def test_cancelled_commit_notes_unknown_outcome(
    database: Database, connection: asyncpg.Connection
) -> None:
    """A cancelled COMMIT stays a cancellation, with a note that the outcome is unknown."""
    await _make_commit_slow(connection)

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)

    task = asyncio.create_task(work())
    await _until_commit_runs(connection)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    await connection.execute(END_COMMIT)  # the server would sleep on

    assert ["may be committed or not" in note for note in caught.value.__notes__] == [True]


async def test_rollback_without_answer_is_given_up(
    database: Database, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ROLLBACK that gets no answer ends the session in bounded time, and the body's error arrives."""
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT_SECONDS", 0.0)

    with pytest.raises(ValueError, match="my own"):
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            raise ValueError("my own")

    assert 0 == database.pool_stats().size


async def _terminate(victim: asyncpg.pool.PoolConnectionProxy, by: asyncpg.Connection) -> None:
    backend = victim.get_server_pid()
    await by.execute("SELECT pg_terminate_backend($1, 5000)", backend)


async def _make_commit_slow(connection: asyncpg.Connection) -> None:
    await connection.execute("""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION wait();
    """)


async def _until_commit_runs(connection: asyncpg.Connection) -> None:
    query = f"SELECT count(*) {COMMITTING} AND wait_event = 'PgSleep'"
    await eventually(lambda: connection.fetchval(query))
