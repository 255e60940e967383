"""A dry run shows the very SQL and leaves nothing: no table, no record, nothing committed by the way."""

import subprocess
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.dry_run import dry_run
from sherpa.db.migrations.errors import BrokenMigrationError, MigrationFailedError
from sherpa.db.migrations.events import Event, Notice
from sherpa.db.migrations.runner import migrate

BEGIN = "BEGIN;\nSET LOCAL lock_timeout = '5000ms'; SET LOCAL statement_timeout = '0ms';"
# Code in the place of SQL: all kinds of parameters, each of the driver's ways to send some.
CODE = '''
"""Made up for a test."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from sherpa.db.migrations.migration import Migration, Run

ID = "001_code"
VERSION = "1.38.0"
DESCRIPTION = "made up"


async def forwards_(run: Run) -> None:
    send = run.connection
    await send.execute(
        "CREATE TABLE t (a text, b int, c timestamptz, d uuid[], e numeric, f bytea, g bool, h jsonb)"
    )
    await send.execute("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (mood mood)")
    await send.execute("INSERT INTO moods VALUES ($1)", "sad")
    await send.execute(
        "INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8) -- not $1",
        "it's '$2' \\\\",
        None,
        datetime(2026, 11, 23, tzinfo=UTC),
        [UUID(int=1)],
        Decimal("1.50"),
        b"\\x00'",
        True,
        '{"a": 1}',
    )
    await send.executemany("INSERT INTO t (a, b) VALUES ($1, $2)", [("one", 1), ("two", 2)])
    async with send.transaction():
        await send.fetch("SELECT a FROM t WHERE a = ANY($1)", ["x", None, 'q"\\\\'])


forwards = Migration(ID, DESCRIPTION, forwards=forwards_, backwards="DROP TABLE t, moods; DROP TYPE mood")
'''


class Shown(list[str]):
    """The texts that a dry run showed, one a migration."""

    def __str__(self) -> str:
        return "\n\n".join(self)


async def test_the_very_sql_is_shown(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Each pending migration is shown in order, under its ID, as its file says it, ended by a semicolon."""
    write_migration("001_a", forwards="CREATE TABLE a (\n  x int -- why\n)")
    write_migration("002_b", forwards="ALTER TABLE a ADD COLUMN y int; -- last word")
    shown = Shown()

    ids = await dry_run(empty_database_settings, shown.append, folder=folder)

    assert ("001_a", "002_b") == ids
    assert [
        f"-- 001_a (forwards)\n{BEGIN}\nCREATE TABLE a (\n  x int -- why\n);\nCOMMIT;",
        f"-- 002_b (forwards)\n{BEGIN}\nALTER TABLE a ADD COLUMN y int; -- last word\n;\nCOMMIT;",
    ] == shown


async def test_nothing_is_left(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """After a dry run the catalogue is as it was, no row was written, and all is still pending."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    write_migration("002_b", forwards="CREATE TABLE b (x int); DROP TABLE t001_a; DELETE FROM migration")
    before = await snapshot(empty_connection), await empty_connection.fetch("SELECT xmin, * FROM migration")

    await dry_run(empty_database_settings, Shown().append, folder=folder)

    assert () == diff(before[0], await snapshot(empty_connection))
    assert before[1] == await empty_connection.fetch("SELECT xmin, * FROM migration")
    write_migration("002_b")
    assert ["002_b"] == [step.migration_id for step in await migrate(empty_database_settings, folder=folder)]


@pytest.mark.parametrize(
    "own",
    [
        "COMMIT",
        "ROLLBACK",
        "COMMIT; BEGIN",
        "SET CONSTRAINTS ALL IMMEDIATE; END",
        "COMMIT AND CHAIN",
        "ABORT",
    ],
)
async def test_own_commit_writes_nothing(
    own: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that commits or rolls back by itself is told, and even so nothing is written."""
    write_migration("001_a")
    write_migration("002_b", forwards=f"CREATE TABLE b (); {own}; CREATE TABLE c ()")
    before = await snapshot(empty_connection)

    with pytest.raises(
        BrokenMigrationError, match=r"002_b would end the runner's transaction.*Nothing was written"
    ):
        await dry_run(empty_database_settings, Shown().append, folder=folder)

    assert () == diff(before, await snapshot(empty_connection))


async def test_shown_sql_does_the_same(
    folder: Path,
    environment: dict[str, str],
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What code sends is shown with its parameters filled in: psql makes the same schema and rows of it."""
    (folder / "sherpa_001_code.py").write_text(CODE)
    rows = "SELECT t::text FROM t ORDER BY t::text"
    shown = Shown()
    await dry_run(empty_database_settings, shown.append, folder=folder)
    _psql(str(shown), environment)
    by_hand = await snapshot(empty_connection), await empty_connection.fetch(rows)
    await empty_connection.execute("DROP TABLE t; DROP TABLE moods; DROP TYPE mood")

    await migrate(empty_database_settings, folder=folder)

    assert () == diff(by_hand[0], (await snapshot(empty_connection)).without({"public.migration"}))
    assert by_hand[1] == await empty_connection.fetch(rows)
    assert 3 == len(by_hand[1])


def _psql(script: str, environment: dict[str, str]) -> None:
    command = ["psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", environment["DATABASE_URL"]]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


async def test_without_a_transaction_is_shown_only(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What would run without a transaction is shown, and not run."""
    statements = ("CREATE TABLE a ()", "VACUUM a")
    write_migration("001_a", forwards=statements, backwards=("DROP TABLE a",), transaction=False)
    shown = Shown()

    await dry_run(empty_database_settings, shown.append, folder=folder)

    assert ["-- 001_a (forwards), without a transaction: shown only\nCREATE TABLE a ();\nVACUUM a;"] == shown
    assert await empty_connection.fetchval("SELECT to_regclass('a')") is None


async def test_what_needs_what_is_shown_only(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """What needs a thing that an earlier migration, not run, would have made is shown, and that is said."""
    write_migration("001_a", forwards=("CREATE TABLE a ()",), backwards=("DROP TABLE a",), transaction=False)
    write_migration("002_b", forwards="ALTER TABLE a ADD COLUMN x int", backwards="SELECT 1")
    write_migration("003_c")
    shown, told = Shown(), list[Event]()

    await dry_run(empty_database_settings, shown.append, folder=folder, report=told.append)

    assert [
        f"-- 002_b (forwards): shown only\n{BEGIN}\nALTER TABLE a ADD COLUMN x int;\nCOMMIT;",
        f"-- 003_c (forwards)\n{BEGIN}\nCREATE TABLE t003_c ();\nCOMMIT;",
    ] == shown[1:]
    assert [
        Notice('002_b may need what 001_a makes (relation "a" does not exist): shown only'),
    ] == told


async def test_failure_after_what_is_shown_only(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Another failure is one, and says that it may come of what was not run; its SQL is shown as well."""
    write_migration("001_a", forwards=("CREATE TABLE a ()",), backwards=("DROP TABLE a",), transaction=False)
    write_migration("002_b", forwards="SELECT 1 / 0", backwards="SELECT 1")
    shown = Shown()

    with pytest.raises(
        MigrationFailedError, match=r"division by zero(.|\n)*What 001_a would have done was missing"
    ):
        await dry_run(empty_database_settings, shown.append, folder=folder)

    assert f"-- 002_b (forwards)\n{BEGIN}\nSELECT 1 / 0;" == shown[-1]


async def test_failure_is_told_as_when_migrating(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A migration that would fail fails here, with the server's words, and nothing was written."""
    write_migration("001_a", forwards="CREATE TABLE a (x uuidd)")

    with pytest.raises(MigrationFailedError, match=r"uuidd(.|\n)*nothing was written") as failure:
        await dry_run(empty_database_settings, Shown().append, folder=folder)

    assert "What " not in str(failure.value)


async def test_target_and_notices(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """`to` is the last one shown, and what the server remarks is reported."""
    write_migration("001_a", forwards="DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")
    write_migration("002_b")
    shown, told = Shown(), list[Event]()

    ids = await dry_run(empty_database_settings, shown.append, to="001", folder=folder, report=told.append)

    assert (("001_a",), 1, [Notice("by the way")]) == (ids, len(shown), told)


async def test_command_prints_sql_alone(
    start: Start, environment: dict[str, str], empty_connection: asyncpg.Connection
) -> None:
    """`migrate --dry-run` prints SQL that psql accepts whole, ends with 0, and leaves an empty database."""
    before = await snapshot(empty_connection)

    run = start("migrate", "--dry-run")
    script, remarks = run.communicate()

    assert 0 == run.returncode
    assert " to apply in 127.0.0.1:" in remarks
    assert () == diff(before, await snapshot(empty_connection))
    _psql(script, environment)
    assert await empty_connection.fetchval("SELECT to_regclass('memberships') IS NOT NULL")


async def test_command_with_nothing_to_show(start: Start) -> None:
    """With nothing pending the command prints no SQL and ends with 0."""
    start("migrate").communicate()

    run = start("migrate", "--dry-run")
    script, remarks = run.communicate()

    assert (0, "") == (run.returncode, script)
    assert remarks.startswith("Nothing to apply in ")
