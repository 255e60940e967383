"""Migrations without a transaction: statement by statement, and what a broken-off index leaves is removed."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.errors import BrokenMigrationError, IndexBusyError, MigrationFailedError
from sherpa.db.migrations.events import Event, Notice
from sherpa.db.migrations.execution import execution
from sherpa.db.migrations.execution.concurrently import ConcurrentIndex, is_concurrent, read_index
from sherpa.db.migrations.execution.insistence import Retries
from sherpa.db.migrations.runner import migrate, revert

ONCE = Retries(attempts=1)
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"


def _index(name: str = "i", table: str = "t", kind: str = "", column: str = "x") -> dict[str, Any]:
    """Return the arguments of `write_migration` for an index that is built concurrently."""
    schema = f"{table.rpartition('.')[0]}." if "." in table else ""
    return {
        "forwards": (f"CREATE {kind}INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} ({column})",),
        "backwards": (f"DROP INDEX CONCURRENTLY IF EXISTS {schema}{name}",),
        "transaction": False,
    }


async def _spoil(connection: asyncpg.Connection, name: str, table: str) -> None:
    """Leave an invalid index, as PostgreSQL does when a concurrent build fails."""
    await connection.execute(f"INSERT INTO {table} SELECT 1 FROM generate_series(1, 2)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (x)")
    await connection.execute(f"DELETE FROM {table}")


async def test_index_there_and_back(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """An index is built and dropped concurrently, and each is recorded."""
    await empty_connection.execute("CREATE TABLE t (x int)")
    write_migration("001_a", **_index())

    await migrate(empty_database_settings, folder=folder)
    there = await empty_connection.fetchval(VALID, "i")
    steps = await revert(empty_database_settings, folder=folder)

    assert there
    assert ["001_a"] == [step.migration_id for step in steps]
    assert await empty_connection.fetchval("SELECT to_regclass('i')") is None


@pytest.mark.parametrize(
    ("name", "table", "full_name"),
    [
        ("i", "t", "public.i"),
        ("FoLded", "T", "public.folded"),
        ('"My ""odd"" index"', '"My ""odd"" table"', 'public."My ""odd"" index"'),
        ("i", "shop.t", "shop.i"),
        ('"I"', '"My shop" . "On"', '"My shop"."I"'),
        (f"i{'n' * 80}", "t", f"public.i{'n' * 62}"),
    ],
)
async def test_invalid_index_is_removed_first(
    name: str,
    table: str,
    full_name: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What a broken-off build left is found by any name in any schema, told, removed, and built anew."""
    await empty_connection.execute('CREATE SCHEMA shop; CREATE SCHEMA "My shop"')
    await empty_connection.execute(f"CREATE TABLE {table} (x int)")
    await _spoil(empty_connection, name, table)
    write_migration("001_a", **_index(name, table))
    told: list[Event] = []

    await migrate(empty_database_settings, folder=folder, report=told.append)

    assert await empty_connection.fetchval(VALID, full_name)
    assert f"removing the invalid index {full_name}: its build was broken off" in [
        event.text for event in told if isinstance(event, Notice)
    ]


async def test_same_name_elsewhere_is_left_alone(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """An invalid index of the same name in another schema is none of ours."""
    await empty_connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.t (x int); CREATE TABLE t (x int)")
    await _spoil(empty_connection, "i", "shop.t")
    write_migration("001_a", **_index())

    await migrate(empty_database_settings, folder=folder)

    assert [False, True] == [await empty_connection.fetchval(VALID, each) for each in ("shop.i", "public.i")]


async def test_failed_build_leaves_no_index(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Duplicates fail a unique index; the error says what stays, and the invalid index is gone."""
    await empty_connection.execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1), (1)")
    write_migration("001_a", **_index(kind="UNIQUE "))

    with pytest.raises(MigrationFailedError, match=r"duplicate(.|\n)*its next run goes on from there"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('i')") is None
    await empty_connection.execute("DELETE FROM t")
    assert 1 == len(await migrate(empty_database_settings, folder=folder))


async def test_statements_before_a_failure_stay(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What came before the failing statement stays, nothing is recorded, and the next run ends it."""
    first = "CREATE TABLE IF NOT EXISTS a ()"
    write_migration("001_a", forwards=(first, "VACUUM b"), backwards=("DROP TABLE a",), transaction=False)

    with pytest.raises(MigrationFailedError, match=r'relation "b" does not exist'):
        await migrate(empty_database_settings, folder=folder)
    stays = await empty_connection.fetchval("SELECT to_regclass('a') IS NOT NULL")
    recorded = await empty_connection.fetchval("SELECT to_regclass('migration') IS NOT NULL")
    await empty_connection.execute("CREATE TABLE b ()")

    assert 1 == len(await migrate(empty_database_settings, folder=folder))
    assert (True, False) == (stays, recorded)


async def test_two_statements_in_one_are_refused(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """PostgreSQL would make one transaction of them: the server says so before either runs."""
    write_migration(
        "001_a", forwards=("CREATE TABLE a (); VACUUM a",), backwards=("SELECT 1",), transaction=False
    )

    with pytest.raises(MigrationFailedError, match="cannot insert multiple commands"):
        await migrate(empty_database_settings, folder=folder)


async def test_name_taken_by_another_relation_is_told(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """IF NOT EXISTS passes over an index of that name on another table; the runner doesn't."""
    await empty_connection.execute(
        "CREATE TABLE t (x int); CREATE TABLE other (x int); CREATE INDEX i ON other (x)"
    )
    write_migration("001_a", **_index())

    with pytest.raises(BrokenMigrationError, match=r"there is no index i on t.*Take another name"):
        await migrate(empty_database_settings, folder=folder)


async def test_index_being_built_is_not_touched(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """An index that somebody else is building right now is refused, with who it is, and stays."""
    await empty_connection.execute("CREATE TABLE t (x int)")
    write_migration("001_a", **_index())
    options = connect_options(empty_database_settings, "by hand")
    reader, builder = await asyncpg.connect(**options), await asyncpg.connect(**options)
    await reader.execute("BEGIN; INSERT INTO t VALUES (1)")  # the build waits for this transaction
    building = asyncio.create_task(builder.execute("CREATE INDEX CONCURRENTLY i ON t (x)"))
    while await empty_connection.fetchval(VALID, "i") is None:
        assert not building.done()
        await asyncio.sleep(0.01)

    with pytest.raises(IndexBusyError, match=rf"pid {builder.get_server_pid()}, .*application by hand"):
        await migrate(empty_database_settings, folder=folder, retries=ONCE)

    await reader.execute("COMMIT")
    await building
    assert await empty_connection.fetchval(VALID, "i")
    assert 1 == len(await migrate(empty_database_settings, folder=folder))
    for session in (reader, builder):
        await session.close()


async def test_lock_that_is_late_leaves_no_index(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build that waits too long for an older transaction is retried, and leaves nothing in the end."""
    monkeypatch.setattr(execution, "LOCK_SECONDS", 0.2)  # what the removal afterwards waits for a lock
    await empty_connection.execute("CREATE TABLE t (x int)")
    write_migration("001_a", **_index(), lock_timeout_seconds=0.2)
    application = await asyncpg.connect(**connect_options(empty_database_settings, "till"))
    await application.execute("BEGIN; INSERT INTO t VALUES (1)")

    with pytest.raises(MigrationFailedError, match=r"held by pid .* application till(.|\n)*tried 2 times"):
        await migrate(
            empty_database_settings, folder=folder, retries=Retries(attempts=2, first_pause_seconds=0.01)
        )

    await application.close()
    assert 1 == len(await migrate(empty_database_settings, folder=folder))
    assert await empty_connection.fetchval(VALID, "i")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x)", ConcurrentIndex("i", "t")),
        ("create unique index concurrently if not exists I on only S.T(x)", ConcurrentIndex("I", "S.T")),
        (
            '-- why\nCREATE /* here */ INDEX CONCURRENTLY\nIF NOT EXISTS"i i"ON"s"."t"USING hash(x)',
            ConcurrentIndex('"i i"', '"s"."t"'),
        ),
        ("CREATE INDEX IF NOT EXISTS i ON t (x)", None),
        ("DROP INDEX CONCURRENTLY IF EXISTS i", None),
        ("SELECT 'CREATE INDEX CONCURRENTLY i ON t (x)'", None),
    ],
)
def test_index_is_read_from_its_statement(statement: str, expected: ConcurrentIndex | None) -> None:
    """Name and table are found whatever the case, the comments and the quotes; other statements have none."""
    assert expected == read_index(statement)


@pytest.mark.parametrize(
    "statement",
    ["CREATE INDEX CONCURRENTLY i ON t (x)", "CREATE INDEX CONCURRENTLY IF NOT EXISTS ON t (x)"],
)
async def test_index_that_could_not_go_on_is_refused(
    statement: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Without IF NOT EXISTS, or without a name, a second run could not go on: refused at first."""
    write_migration("001_a")
    write_migration("002_b", forwards=(statement,), backwards=("SELECT 1",), transaction=False)

    with pytest.raises(BrokenMigrationError, match=r"sherpa_002_b\.py: forwards: .*IF NOT EXISTS name"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('t001_a')") is None


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (x)", True),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", True),
        ("ALTER TABLE t ADD COLUMN x int", False),
        ("ALTER TABLE t ADD COLUMN \"x CONCURRENTLY\" text DEFAULT 'done CONCURRENTLY'", False),
        ("ALTER TABLE t -- not CONCURRENTLY\nADD COLUMN x int", False),
    ],
)
def test_only_what_is_concurrent_may_wait_long(statement: str, expected: object) -> None:
    """A statement waits for minutes only when nobody queues behind it."""
    assert expected is is_concurrent(statement)
