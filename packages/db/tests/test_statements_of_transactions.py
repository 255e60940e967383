"""A transaction is ended by its block: by SQL it can't be, and where it was all the same, that is said."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

import tracemalloc

import pytest

from sherpa.db.engine import Database
from sherpa.db.errors import TransactionEndedError, TransactionMisuseError
from sherpa.db.statements import ends_transaction, leaves_session_alone

ENDS = [
    "COMMIT",
    " commit work; ",
    ";END",
    "END TRANSACTION",
    "ABORT",
    "ROLLBACK",
    "ROLLBACK WORK",
    "ROLLBACK AND CHAIN",
    "PREPARE TRANSACTION 'x'",
    "COMMIT; BEGIN",
    "-- well\n/* well */ COMMIT",
    "SELECT 1;COMMIT",
    "SELECT 'it''s; fine' ; -- so\n ROLLBACK; BEGIN",
    r"SELECT E'\'', 'x\'; COMMIT",
]
GOES_ON = [
    "SAVEPOINT a; ROLLBACK TO a; ROLLBACK TO SAVEPOINT a; ROLLBACK WORK TO a; RELEASE a",
    "SELECT 'x; COMMIT', $$; ROLLBACK$$, $a$; COMMIT$a$ AS \"y; COMMIT\" -- ; COMMIT",
    "DO $$ BEGIN PERFORM 1; END $$; SELECT CASE WHEN true THEN 1 END",
    "CREATE FUNCTION pg_temp.one() RETURNS int BEGIN ATOMIC SELECT 1; END",
    "PREPARE a AS SELECT 1; DEALLOCATE a",
    r"SELECT E'it\'s; COMMIT', e'''; COMMIT \\', DATE'2026-11-23'",
]


@pytest.mark.parametrize("way", ["execute", "fetch"])
@pytest.mark.parametrize("statement", ENDS)
async def test_sql_that_ends_it_is_not_sent(database: Database, statement: str, way: str) -> None:
    """It is refused before it is sent, so that the transaction goes on as if nothing had been."""
    async with database.transaction() as transaction:
        connection = transaction.connection
        before = await connection.fetchval("SELECT pg_current_xact_id()::text")

        with pytest.raises(TransactionMisuseError, match="not sent"):
            await getattr(connection, way)(statement)

        assert before == await connection.fetchval("SELECT pg_current_xact_id()::text")


@pytest.mark.parametrize("statement", GOES_ON)
async def test_sql_that_only_looks_like_it_is_sent(database: Database, statement: str) -> None:
    """Savepoints, and the same words in quotes, comments and bodies, are none of it."""
    async with database.transaction() as transaction:
        before = await transaction.connection.fetchval("SELECT pg_current_xact_id()::text")

        await transaction.connection.execute(statement)

        assert before == await transaction.connection.fetchval("SELECT pg_current_xact_id()::text")


def test_long_statements_are_not_kept() -> None:
    """Texts with their values in them, of which none comes twice, take no memory once they were judged."""
    tracemalloc.start()
    for number in range(20):
        text = f"INSERT INTO a VALUES ('{number}{'-' * 100_000} end')"
        assert (False, True) == (ends_transaction(text), leaves_session_alone(text))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 1_000_000


async def test_sessions_own_transactions_are_sql(database: Database) -> None:
    """Outside of our transactions a session's statements are the caller's affair."""
    async with database.connection() as connection:
        await connection.execute("BEGIN; SELECT 1; COMMIT")
        async with connection.transaction(), connection.transaction():
            assert 1 == await connection.fetchval("SELECT 1")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("by_driver", [False, True])
async def test_ended_transaction_owns_up(database: Database, fails: bool, by_driver: bool) -> None:
    """However the block ends, it says that its transaction was over; the session is fit for the next one."""
    async with database.connection() as connection:
        await connection.execute("CREATE TEMPORARY TABLE done (number int)")
        with pytest.raises(TransactionEndedError) as caught:
            async with database.transaction(on=connection) as transaction:
                await (transaction.transaction.commit() if by_driver else connection.execute("SELECT 1; END"))
                await connection.execute("INSERT INTO done VALUES (1)")
                if fails:
                    raise ValueError("why")

        assert fails == isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(ValueError, match="undo"):
            async with database.transaction(on=connection):
                await connection.execute("INSERT INTO done VALUES (2)")
                raise ValueError("undo")
        assert [1] == [row["number"] for row in await connection.fetch("SELECT number FROM done")]


async def test_early_commit_owns_up(database: Database) -> None:
    """An explicit commit() of what is over already is refused as well."""
    with pytest.raises(TransactionEndedError):
        async with database.transaction() as transaction:
            await transaction.connection.execute("SELECT 1; END")
            await transaction.commit()
