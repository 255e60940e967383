"""How transactions begin, join each other and roll back, and which tasks take part."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

import asyncio
from typing import Any

import asyncpg
import pytest
from piccolo.engine.exceptions import TransactionError

from sherpa.db.engine import Database
from sherpa.db.errors import (
    TransactionFailedError,
    TransactionMisuseError,
)
from sherpa.db.transaction import Transaction

pytestmark = pytest.mark.usefixtures("ids")

INSERT = "INSERT INTO items VALUES ($1)"


async def test_block_commits(database: Database, ids: Any) -> None:
    """A block that ends well is committed."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)

    assert [1] == await ids.committed()


async def test_error_rolls_back(database: Database, ids: Any) -> None:
    """An error that leaves the block undoes it and arrives as it was raised."""
    with pytest.raises(ValueError, match="my own"):
        async with database.transaction() as transaction:
            await transaction.connection.execute(INSERT, 1)
            raise ValueError("my own")

    assert [] == await ids.committed()


async def test_piccolo_queries_take_part(database: Database, ids: Any) -> None:
    """What runs through the engine inside the block is part of the transaction."""
    with pytest.raises(ValueError, match="undo"):
        async with database.transaction():
            await database.engine.run_ddl("INSERT INTO items VALUES (1)")
            raise ValueError("undo")

    assert [] == await ids.committed()


async def test_inner_block_joins(database: Database, ids: Any) -> None:
    """A transaction inside another is the same one: it commits nothing by itself."""
    async with database.transaction() as outer:
        async with database.transaction() as inner:
            await inner.connection.execute(INSERT, 1)
        before = await ids.committed()

    assert inner is outer
    assert ([], [1]) == (before, await ids.committed())


async def test_swallowed_inner_failure_commits_nothing(database: Database, ids: Any) -> None:
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


async def test_swallowed_statement_failure_commits_nothing(database: Database, ids: Any) -> None:
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


async def test_commit_by_hand_ends_block(database: Database, ids: Any) -> None:
    """After commit() nothing more can be done in the block: it would run in autocommit."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        await transaction.commit()
        with pytest.raises(TransactionMisuseError):
            await database.engine.run_ddl("INSERT INTO items VALUES (2)")
        with pytest.raises(TransactionMisuseError):
            await transaction.connection.execute(INSERT, 3)

    assert [1] == await ids.committed()


async def test_rollback_by_hand(database: Database, ids: Any) -> None:
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


async def test_task_outside_transaction(database: Database, ids: Any) -> None:
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
