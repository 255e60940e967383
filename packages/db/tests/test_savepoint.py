"""A part of a transaction may fail alone, and only where that was asked for."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

from typing import Any

import pytest

from sherpa.db import pool
from sherpa.db.engine import Database
from sherpa.db.errors import (
    ConnectionLostError,
    ConstraintError,
    TransactionFailedError,
    TransactionMisuseError,
)

pytestmark = pytest.mark.usefixtures("ids")

INSERT = "INSERT INTO items VALUES ($1)"


async def test_savepoint_fails_alone(database: Database, ids: Any) -> None:
    """A failed savepoint block is undone, the transaction around it goes on and commits."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        with pytest.raises(ConstraintError):
            async with database.savepoint():
                await transaction.connection.execute(INSERT, 2)
                await transaction.connection.execute(INSERT, 1)
        await transaction.connection.execute(INSERT, 3)

    assert [1, 3] == await ids.committed()


async def test_savepoint_takes_inner_failure_back(database: Database, ids: Any) -> None:
    """An inner transaction that fails inside a savepoint block is undone with it."""
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, 1)
        with pytest.raises(KeyError):
            async with database.savepoint(), database.transaction():
                await transaction.connection.execute(INSERT, 2)
                raise KeyError

    assert [1] == await ids.committed()


async def test_savepoint_refuses_swallowed_failure(database: Database, ids: Any) -> None:
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


async def test_piccolos_savepoints_work(database: Database, ids: Any) -> None:
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
    database: Database, ids: Any, monkeypatch: pytest.MonkeyPatch
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


async def test_unknown_savepoint_is_refused(database: Database) -> None:
    """Going back to a savepoint that was never set is refused by its name."""
    async with database.transaction() as transaction:
        with pytest.raises(TransactionMisuseError, match="no savepoint 'a'"):
            await transaction.rollback_to("a")
