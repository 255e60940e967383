"""How transactions commit, roll back, join each other, and which errors leave them."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them
# ruff: noqa: ASYNC110 - a server tells nobody that it has got so far

import asyncio

import asyncpg
import pytest
from piccolo.engine.exceptions import TransactionError

from sherpa.db import pool
from sherpa.db.engine import Database
from sherpa.db.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    ConstraintError,
    TransactionConflictError,
    TransactionFailedError,
    TransactionMisuseError,
)
from sherpa.db.transaction import Transaction

INSERT = "INSERT INTO items VALUES ($1)"
COUNT = "SELECT count(*) FROM items"
COMMITTING = "FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT;'"
END_SLEEP = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'
"""
END_COMMIT = f"SELECT pg_terminate_backend(pid, 5000) {COMMITTING}"


@pytest.fixture(autouse=True)
async def schema(connection: asyncpg.Connection) -> None:
    """Make the one table that the tests write."""
    await connection.execute("CREATE TABLE items (id int CONSTRAINT items_pkey PRIMARY KEY)")


@pytest.fixture
async def ids(connection: asyncpg.Connection) -> "Ids":
    """Return how to read what is committed."""
    return Ids(connection)


class Ids:
    """The ids that are committed, in order."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def committed(self) -> list[int]:
        """Read them."""
        return [row["id"] for row in await self.connection.fetch("SELECT id FROM items ORDER BY id")]


async def test_block_commits(database: Database, ids: Ids) -> None:
    """A block that ends well is committed."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)

    assert [1] == await ids.committed()


async def test_error_rolls_back(database: Database, ids: Ids) -> None:
    """An error that leaves the block undoes it and arrives as it was raised."""
    with pytest.raises(ValueError, match="my own"):
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            raise ValueError("my own")

    assert [] == await ids.committed()


async def test_piccolo_queries_take_part(database: Database, ids: Ids) -> None:
    """What runs through the engine inside the block is part of the transaction."""
    with pytest.raises(ValueError, match="undo"):
        async with database.transaction():
            await database.engine.run_ddl("INSERT INTO items VALUES (1)")
            raise ValueError("undo")

    assert [] == await ids.committed()


async def test_inner_block_joins(database: Database, ids: Ids) -> None:
    """A transaction inside another is the same one: it commits nothing by itself."""
    async with database.transaction() as outer:
        async with database.transaction() as inner:
            await inner.connection.execute(INSERT, 1)
        before = await ids.committed()

    assert inner is outer
    assert ([], [1]) == (before, await ids.committed())


async def test_swallowed_inner_failure_commits_nothing(database: Database, ids: Ids) -> None:
    """When an inner block fails and its error is swallowed, the outer one says so and commits nothing."""

    async def book_half() -> None:
        async with database.transaction() as inner:
            await inner.connection.execute(INSERT, 1)
            raise KeyError("half way")

    async def book() -> None:
        async with database.transaction() as outer:
            await outer.connection.execute(INSERT, 2)
            with pytest.raises(KeyError):
                await book_half()

    with pytest.raises(TransactionFailedError) as caught:
        await book()

    assert isinstance(caught.value.__cause__, KeyError)
    assert [] == await ids.committed()


async def test_swallowed_statement_failure_commits_nothing(database: Database, ids: Ids) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK after a swallowed failure: that is an error, not a success."""

    async def insert_twice() -> None:
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            with pytest.raises(asyncpg.UniqueViolationError):
                await transaction.connection.execute(INSERT, 1)

    with pytest.raises(TransactionFailedError):
        await insert_twice()

    assert [] == await ids.committed()
    assert 0 == database.pool_stats().in_use


async def test_savepoint_fails_alone(database: Database, ids: Ids) -> None:
    """A failed savepoint block is undone, the transaction around it goes on and commits."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        with pytest.raises(ConstraintError):
            async with database.savepoint():
                await transaction.connection.execute(INSERT, 2)
                await transaction.connection.execute(INSERT, 1)
        await transaction.connection.execute(INSERT, 3)

    assert [1, 3] == await ids.committed()


async def test_savepoint_takes_inner_failure_back(database: Database, ids: Ids) -> None:
    """An inner transaction that fails inside a savepoint block is undone with it."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        with pytest.raises(KeyError):
            async with database.savepoint(), database.transaction():
                await transaction.connection.execute(INSERT, 2)
                raise KeyError

    assert [1] == await ids.committed()


async def test_savepoint_refuses_swallowed_failure(database: Database, ids: Ids) -> None:
    """A savepoint block in which an inner failure was swallowed is undone, and says so."""

    async def half() -> None:
        async with database.transaction() as inner:
            await inner.connection.execute(INSERT, 2)
            raise KeyError

    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        with pytest.raises(TransactionFailedError):
            async with database.savepoint():
                with pytest.raises(KeyError):
                    await half()

    assert [1] == await ids.committed()


async def test_piccolos_savepoints_work(database: Database, ids: Ids) -> None:
    """Piccolo's own calls work, by object and by name, and take a joined block's failure back."""
    async with database.transaction() as transaction:
        point = await transaction.savepoint()
        await transaction.connection.execute(INSERT, 1)
        await point.rollback_to()
        await transaction.savepoint("here")
        with pytest.raises(KeyError):
            async with database.transaction():
                raise KeyError
        await transaction.rollback_to("here")
        await transaction.connection.execute(INSERT, 2)

    assert [2] == await ids.committed()


async def test_unanswered_savepoint_loses_transaction(
    database: Database, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a savepoint can't be returned to, the block's error arrives, and nothing at all is committed."""
    monkeypatch.setattr(pool, "ANSWER_TIMEOUT_SECONDS", 0.0)

    with pytest.raises(ConnectionLostError):
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            with pytest.raises(KeyError):
                async with database.savepoint():
                    raise KeyError

    assert ([], 0) == (await ids.committed(), database.pool_stats().in_use)


async def test_savepoint_needs_transaction(database: Database) -> None:
    """A savepoint outside of a transaction is refused."""
    with pytest.raises(TransactionMisuseError, match="open one around it"):
        database.savepoint()


async def test_commit_by_hand_ends_block(database: Database, ids: Ids) -> None:
    """After commit() nothing more can be done in the block: it would run in autocommit."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        await transaction.commit()
        with pytest.raises(TransactionMisuseError):
            await database.engine.run_ddl("INSERT INTO items VALUES (2)")
        with pytest.raises(TransactionMisuseError):
            await transaction.connection.execute(INSERT, 3)

    assert [1] == await ids.committed()


async def test_rollback_by_hand(database: Database, ids: Ids) -> None:
    """rollback() undoes the block without an error."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        await transaction.rollback()

    assert [] == await ids.committed()


async def test_transaction_serves_once(database: Database) -> None:
    """The same object can't be entered again: its second COMMIT would be skipped silently."""
    transaction = database.transaction()
    async with transaction:
        pass

    with pytest.raises(TransactionMisuseError, match="ask for another"):
        await transaction.__aenter__()


async def test_nested_may_be_refused(database: Database) -> None:
    """Piccolo's allow_nested=False is honoured."""
    async with database.transaction():
        with pytest.raises(TransactionError):
            database.engine.transaction(allow_nested=False)


async def test_isolation_is_asked_for(database: Database) -> None:
    """The isolation level and read-only reach the server."""
    async with database.transaction(isolation="serializable", readonly=True) as transaction:
        found = await transaction.connection.fetchval(
            "SELECT current_setting('transaction_isolation') || current_setting('transaction_read_only')"
        )

    assert "serializableon" == found


async def test_inner_block_cannot_change_isolation(database: Database) -> None:
    """A joined block that needs another isolation is refused rather than run with less."""
    async with database.transaction():
        with pytest.raises(TransactionMisuseError, match="outermost"):
            async with database.transaction(isolation="serializable"):
                pass


async def test_serialization_failure_at_commit(database: Database, ids: Ids) -> None:
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


async def test_commit_beside_running_statement(database: Database, ids: Ids) -> None:
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


async def test_joined_task_outlives_transaction(database: Database) -> None:
    """A task that joined and is still inside its block, when the transaction ends, is told so."""
    joined, over = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with database.transaction():
            joined.set()
            await over.wait()
            await database.engine.run_ddl("INSERT INTO items VALUES (1)")

    async with database.transaction():
        task = asyncio.create_task(work())
        await joined.wait()
    over.set()

    with pytest.raises(TransactionMisuseError, match="wait inside it"):
        await task


async def test_task_outside_transaction(database: Database, ids: Ids) -> None:
    """A task started in the context that outside_transaction() gives does not take part."""

    async def work() -> None:
        await database.engine.run_ddl("INSERT INTO items VALUES (1)")

    with pytest.raises(ValueError, match="undo"):
        async with database.transaction():
            await asyncio.create_task(work(), context=database.outside_transaction())
            raise ValueError("undo")

    assert [1] == await ids.committed()


async def test_context_may_change(database: Database) -> None:
    """A transaction may be left in another context than it was entered in, as by an async generator."""
    transaction = database.transaction()
    await asyncio.create_task(_enter(transaction))

    await transaction.__aexit__(None, None, None)

    assert 0 == database.pool_stats().in_use


async def _enter(transaction: Transaction) -> None:
    await transaction.__aenter__()


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
    async with asyncio.timeout(10):
        while not await connection.fetchval(query):
            await asyncio.sleep(0.01)
