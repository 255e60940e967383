"""Transactions on a connection that the caller keeps, and what is called when one has committed."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

import pytest

from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError, ConstraintError, TransactionMisuseError


async def test_session_outlasts_the_transactions_on_it(database: Database) -> None:
    """What a session holds, as an advisory lock, is still there after its transactions."""
    async with database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock(4711)")
        pids = set()

        for _ in range(2):
            async with database.transaction(on=connection) as transaction:
                await transaction.connection.execute("SET LOCAL lock_timeout = '1s'")
                pids.add(await transaction.connection.fetchval("SELECT pg_backend_pid()"))

        held = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1", *pids
        )
        assert 1 == held


async def test_tables_queries_run_on_the_lent_connection(database: Database) -> None:
    """A query through the engine inside the block runs in the session that was lent."""
    async with database.connection() as connection:
        own = await connection.fetchval("SELECT pg_backend_pid()")

        async with database.transaction(on=connection):
            rows = await database.engine.run_ddl("SELECT pg_backend_pid() AS pid")

        assert [own] == [row["pid"] for row in rows]


async def test_lost_session_ends_the_transaction_and_not_the_pool(database: Database) -> None:
    """When the lent session ends, the block says so, and the pool goes on with a new one."""
    with pytest.raises(ConnectionLostError):
        async with database.connection() as connection, database.transaction(on=connection) as transaction:
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            async with database.connection() as other:
                await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            await transaction.connection.execute("SELECT 1")

    async with database.transaction() as transaction:
        assert 1 == await transaction.connection.fetchval("SELECT 1")


async def test_lent_connection_joins_no_other_transaction(database: Database) -> None:
    """Inside another transaction, one on a connection of its own is refused, for it could not join."""
    async with database.connection() as connection, database.transaction():
        with pytest.raises(TransactionMisuseError, match="outside of any other"):
            async with database.transaction(on=connection):
                pass


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_lent_connections_transaction_ends_with_its_block(database: Database, end: str) -> None:
    """Whoever is given such a transaction can't end it for those whose work is in it, too."""
    async with database.connection() as connection:
        async with database.transaction(on=connection) as transaction:
            with pytest.raises(TransactionMisuseError, match="by whoever opened it"):
                await getattr(transaction, end)()

        assert transaction.is_committed


async def test_callbacks_come_after_the_commit(database: Database) -> None:
    """A callback sees the work committed, once, also when a joined block asked for it."""
    seen: list[bool] = []

    async with database.transaction() as transaction:
        async with database.transaction() as joined:
            joined.after_commit(lambda: seen.append(transaction.is_committed))
        before = list(seen)

    assert ([], [True]) == (before, seen)


async def test_no_callback_without_a_commit(database: Database) -> None:
    """What rolls back, or fails to commit, has no news to tell."""
    told: list[int] = []

    with pytest.raises(ValueError, match="undo"):
        async with database.transaction() as transaction:
            transaction.after_commit(lambda: told.append(1))
            raise ValueError("undo")
    with pytest.raises(ConstraintError):
        async with database.transaction() as transaction:
            transaction.after_commit(lambda: told.append(2))
            await transaction.connection.execute(
                "CREATE TEMPORARY TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP"
            )
            await transaction.connection.execute("INSERT INTO late VALUES (1), (1)")

    assert [] == told


async def test_failing_callback_does_not_undo_what_is_committed(
    database: Database,
) -> None:
    """A callback's own error is logged: the caller's work is committed, and the others are called."""
    told: list[int] = []

    async with database.transaction() as transaction:
        transaction.after_commit(lambda: told.append(1 // 0))
        transaction.after_commit(lambda: told.append(1))

    assert [1] == told
