"""Batches do each row once, whatever the key, go on after a failure, and refuse what they can't do safely."""

from typing import Any

import asyncpg
import pytest

from packages.db.tests.migrations.batches.conftest import Balances, FillAccounts, Walk
from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.errors import BrokenMigrationError, HistoryError
from sherpa.db.migrations.events import Progress

ADD_ONE = "UPDATE accounts SET balance = balance + 1 WHERE id BETWEEN $1 AND $2"
WALKED = "SELECT done, count(*) FROM walked GROUP BY done ORDER BY done"
WALK = "UPDATE walked SET done = done + 1 WHERE k BETWEEN $1 AND $2"
PROGRESS_TABLE = "SELECT to_regclass('migration_progress')"


@pytest.mark.parametrize(
    ("key_type", "expression"),
    [
        ("integer", "n"),
        ("bigint", "n - 5000000000"),
        ("uuid", "gen_random_uuid()"),
        ("text", "'key ' || n"),
        ("varchar(20)", "'Ключ' || n"),
        (
            "timestamptz",
            "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE now() + n * '1 h'::interval END",
        ),
        ("date", "current_date - n"),
        ("numeric", "n / 7.0"),
    ],
)
async def test_each_row_is_done_once(
    key_type: str, expression: str, empty_connection: asyncpg.Connection, walk: Walk
) -> None:
    """Whatever the key's type, every row is done once, in batches, and the last report says all."""
    await empty_connection.execute(
        f"CREATE TABLE walked (k {key_type} PRIMARY KEY, done integer NOT NULL DEFAULT 0);"
        f"INSERT INTO walked SELECT {expression} FROM generate_series(1, 100) AS n"
    )

    told = await walk(Batches("walked", "k", WALK, rows=9))

    assert [(1, 100)] == [tuple(row) for row in await empty_connection.fetch(WALKED)]
    assert len(told) > 1
    assert isinstance(told[-1], Progress)
    assert (100, 100) == (told[-1].done, told[-1].total)


@pytest.mark.parametrize("rows", [0, 1])
async def test_few_rows_are_no_special_case(
    rows: int, fill_accounts: FillAccounts, empty_connection: asyncpg.Connection, walk: Walk
) -> None:
    """One row is one batch; a table without rows is nothing to do, and leaves nothing behind."""
    await fill_accounts(rows)

    told = await walk(Batches("accounts", "id", ADD_ONE))

    assert rows == len(told)
    assert rows == await empty_connection.fetchval("SELECT coalesce(sum(balance), 0) FROM accounts")
    assert bool(rows) == bool(await empty_connection.fetchval(PROGRESS_TABLE))


async def test_names_are_read_as_sql(empty_connection: asyncpg.Connection, walk: Walk) -> None:
    """A table in another schema, and names in quotes, are found as SQL finds them."""
    await empty_connection.execute(
        'CREATE SCHEMA "Old Books";'
        'CREATE TABLE "Old Books"."a ""b""" ("The Key" integer PRIMARY KEY, n integer);'
        'INSERT INTO "Old Books"."a ""b""" VALUES (1, 0), (2, 0)'
    )
    statement = 'UPDATE "Old Books"."a ""b""" SET n = n + 1 WHERE "The Key" BETWEEN $1 AND $2'

    told = await walk(Batches('"Old Books"."a ""b"""', '"The Key"', statement, rows=1))

    assert 2 == len(told)


async def test_rows_of_one_key_stay_together(empty_connection: asyncpg.Connection, walk: Walk) -> None:
    """A key need not be unique: rows that share one are never torn between batches, nor done twice."""
    await empty_connection.execute(
        "CREATE TABLE walked (k integer NOT NULL, done integer NOT NULL DEFAULT 0);"
        "CREATE INDEX ON walked (k);"
        "INSERT INTO walked SELECT n / 7 FROM generate_series(1, 100) AS n"
    )

    await walk(Batches("walked", "k", WALK, rows=3))

    assert [(1, 100)] == [tuple(row) for row in await empty_connection.fetch(WALKED)]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("maybe", "may be NULL"),
        ("bare", "begins no index"),
        ("partly", "begins no index"),
        ("second", "begins no index"),
        ("hashed", "begins no index"),
        ("lacking", "no table walked with a column lacking"),
    ],
)
async def test_unfit_key_is_refused(
    column: str, reason: str, empty_connection: asyncpg.Connection, walk: Walk
) -> None:
    """A key that may be NULL, or by which no index leads through the table, is refused."""
    await empty_connection.execute("""
        CREATE TABLE walked (maybe int UNIQUE, bare int NOT NULL, partly int NOT NULL, first int NOT NULL,
                             second int NOT NULL, hashed int NOT NULL, UNIQUE (first, second));
        CREATE INDEX ON walked (partly) WHERE partly > 0;
        CREATE INDEX ON walked USING hash (hashed);
    """)

    with pytest.raises(BrokenMigrationError, match=reason):
        await walk(Batches("walked", column, f"DELETE FROM walked WHERE {column} BETWEEN $1 AND $2"))


@pytest.mark.parametrize(
    "fault",
    [
        {"statement": "UPDATE accounts SET balance = 1"},
        {"statement": "UPDATE accounts SET balance = 1 WHERE id >= $1"},
        {"statement": "UPDATE accounts SET balance = 1 WHERE id BETWEEN $10 AND $2"},
        {"rows": 0},
        {"duty": 0},
        {"duty": 1.1},
        {"batch_seconds": 0},
        {"lock_timeout_seconds": 0},
    ],
    ids=str,
)
def test_nonsense_is_refused_when_it_is_written(fault: dict[str, Any]) -> None:
    """A statement that does not keep to its range, or a pace that is none, is refused at once."""
    with pytest.raises(ValueError, match="Batches"):
        Batches(**{"table": "accounts", "key": "id", "statement": ADD_ONE} | fault)


async def test_surrounding_transaction_is_refused(
    fill_accounts: FillAccounts, empty_connection: asyncpg.Connection, walk: Walk
) -> None:
    """Inside a transaction no batch could be one: the migration must be transaction=False."""
    await fill_accounts(1)

    async with empty_connection.transaction():
        with pytest.raises(BrokenMigrationError, match="transaction=False"):
            await walk(Batches("accounts", "id", ADD_ONE))


async def test_failure_keeps_what_is_done(
    fill_accounts: FillAccounts,
    empty_connection: asyncpg.Connection,
    walk: Walk,
    balances: Balances,
) -> None:
    """An error in a batch undoes that batch alone, says where it was, and the next run goes on there."""
    batches = Batches("accounts", "id", ADD_ONE, rows=10, batch_seconds=1e-9)
    await fill_accounts(100)
    await empty_connection.execute("UPDATE accounts SET balance = 9 WHERE id = 14")

    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await walk(batches)

    assert [
        "in the batch with id from 11 to 15",
        "10 of about 100 rows are done and stay so; the next run goes on there",
    ] == caught.value.__notes__
    assert {0: 89, 1: 10, 9: 1} == await balances()
    await empty_connection.execute("UPDATE accounts SET balance = 0 WHERE id = 14")
    await walk(batches)
    assert {1: 100} == await balances()


async def test_finished_walk_is_not_walked_again(
    fill_accounts: FillAccounts,
    empty_connection: asyncpg.Connection,
    walk: Walk,
    balances: Balances,
) -> None:
    """Killed before its migration is recorded, a finished walk is not begun again."""
    await fill_accounts(10)
    await walk(Batches("accounts", "id", ADD_ONE))

    told = await walk(Batches("accounts", "id", ADD_ONE))

    assert [] == told
    assert {1: 10} == await balances()


async def test_rows_added_behind_the_end_are_left(
    fill_accounts: FillAccounts,
    empty_connection: asyncpg.Connection,
    walk: Walk,
    balances: Balances,
) -> None:
    """The end is where it was at the start: a table that grows meanwhile can't keep us for ever."""
    await fill_accounts(10)
    grow = "WITH grown AS (INSERT INTO accounts SELECT max(id) + 1 FROM accounts)"

    await walk(Batches("accounts", "id", f"{grow} {ADD_ONE}", rows=1, batch_seconds=1e-9))

    assert {0: 10, 1: 10} == await balances()


async def test_rows_deleted_meanwhile_are_no_matter(
    fill_accounts: FillAccounts,
    empty_connection: asyncpg.Connection,
    walk: Walk,
    balances: Balances,
) -> None:
    """When the rows ahead, and the last one, have gone in the meantime, the walk ends well."""
    await fill_accounts(10)
    eat = "WITH eaten AS (DELETE FROM accounts WHERE id > 3)"

    told = await walk(Batches("accounts", "id", f"{eat} {ADD_ONE}", rows=1))

    assert isinstance(told[-1], Progress)
    assert {1: 3} == await balances()


async def test_edited_statement_stops_it(
    fill_accounts: FillAccounts,
    empty_connection: asyncpg.Connection,
    walk: Walk,
    balances: Balances,
) -> None:
    """A statement that changed halfway is refused, and the former shown; its formatting may change."""
    await fill_accounts(20)
    await empty_connection.execute("UPDATE accounts SET balance = 9 WHERE id = 14")
    with pytest.raises(asyncpg.CheckViolationError):
        await walk(Batches("accounts", "id", ADD_ONE, rows=10))
    await empty_connection.execute("UPDATE accounts SET balance = 0 WHERE id = 14")

    with pytest.raises(HistoryError) as caught:
        await walk(Batches("accounts", "id", ADD_ONE.replace("+ 1", "+ 2")))

    assert f"001_walk is half done forwards, with another statement:\n{ADD_ONE}\n" in str(caught.value)
    await walk(Batches("accounts", "id", f"-- the same\n{ADD_ONE.replace(' SET', chr(10) + 'SET')}"))
    assert {1: 20} == await balances()


async def test_statement_may_be_mended_before_the_first_batch(
    fill_accounts: FillAccounts, walk: Walk, balances: Balances
) -> None:
    """A statement that never got through a batch has done nothing, so another may take its place."""
    await fill_accounts(20)
    with pytest.raises(asyncpg.UndefinedColumnError):
        await walk(Batches("accounts", "id", ADD_ONE.replace("SET balance", "SET balnce")))

    await walk(Batches("accounts", "id", ADD_ONE))

    assert {1: 20} == await balances()
