"""The runner applies and reverts whole migrations: what it chooses, and what remains when one fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import (
    BrokenMigrationError,
    ConnectionFailedError,
    LockHeldError,
    MigrationFailedError,
    TargetError,
    UnknownMigrationError,
)
from sherpa.db.migrations.events import Event, Notice, Step
from sherpa.db.migrations.execution.insistence import Retries
from sherpa.db.migrations.runner import migrate, revert

type WriteMigration = Callable[..., Path]

ONCE = Retries(attempts=1)
TABLES = "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def three(write_migration: WriteMigration) -> None:
    """Write three migrations, a table each."""
    for migration_id in ("001_a", "002_b", "003_c"):
        write_migration(migration_id)


@pytest.mark.usefixtures("three")
async def test_pending_apply_in_order(
    folder: Path, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """All pending migrations are applied, in the order of their IDs."""
    steps = await migrate(empty_database_settings, folder=folder)

    assert ["001_a", "002_b", "003_c"] == [step.migration_id for step in steps]
    assert ["migration", "t001_a", "t002_b", "t003_c"] == await empty_connection.fetchval(TABLES)


@pytest.mark.usefixtures("three")
async def test_nothing_is_applied_twice(folder: Path, empty_database_settings: DatabaseSettings) -> None:
    """A second run has nothing to do."""
    await migrate(empty_database_settings, folder=folder)

    steps = await migrate(empty_database_settings, folder=folder)

    assert () == steps


@pytest.mark.usefixtures("three")
async def test_migrate_stops_at_the_target(folder: Path, empty_database_settings: DatabaseSettings) -> None:
    """`to`, shortened, is the last one applied."""
    steps = await migrate(empty_database_settings, to="002", folder=folder)

    assert ["001_a", "002_b"] == [step.migration_id for step in steps]


@pytest.mark.usefixtures("three")
async def test_migrate_never_goes_back(folder: Path, empty_database_settings: DatabaseSettings) -> None:
    """A target that lies behind is refused, with the command that goes there."""
    await migrate(empty_database_settings, folder=folder)

    with pytest.raises(TargetError, match="inv revert --to 001_a"):
        await migrate(empty_database_settings, to="001", folder=folder)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("how_far", "expected"),
    [
        ({}, ["003_c"]),
        ({"steps": 2}, ["003_c", "002_b"]),
        ({"to": "001"}, ["003_c", "002_b"]),
        ({"to": "003"}, []),
        ({"everything": True}, ["003_c", "002_b", "001_a"]),
    ],
    ids=str,
)
async def test_revert_takes_the_newest_first(
    how_far: dict[str, Any], expected: list[str], folder: Path, empty_database_settings: DatabaseSettings
) -> None:
    """One step by default; N steps; all after an ID, which stays; everything."""
    await migrate(empty_database_settings, folder=folder)

    steps = await revert(empty_database_settings, folder=folder, **how_far)

    assert expected == [step.migration_id for step in steps]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("how_far", "error", "fact"),
    [
        ({"steps": 3}, TargetError, "more than the 2 that are applied"),
        ({"to": "003"}, TargetError, "not applied"),
        ({"to": "004"}, UnknownMigrationError, "001_a, 002_b, 003_c"),
    ],
    ids=str,
)
async def test_revert_refuses_what_is_not_there(
    how_far: dict[str, Any],
    error: type[Exception],
    fact: str,
    folder: Path,
    empty_database_settings: DatabaseSettings,
) -> None:
    """More steps than are applied, or a target that is not, change nothing."""
    await migrate(empty_database_settings, to="002", folder=folder)

    with pytest.raises(error, match=fact):
        await revert(empty_database_settings, folder=folder, **how_far)

    assert () == await migrate(empty_database_settings, to="002", folder=folder)


@pytest.mark.usefixtures("three")
async def test_nothing_applied_is_nothing_to_revert(
    folder: Path, empty_database_settings: DatabaseSettings
) -> None:
    """On an empty database, one step back and all the way back are well, and nothing."""
    assert () == await revert(empty_database_settings, folder=folder)
    assert () == await revert(empty_database_settings, everything=True, folder=folder)


async def test_failed_migration_leaves_nothing(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What a failed migration did is undone; those before it stay, those after it wait."""
    write_migration("001_a")
    write_migration("002_b", forwards="CREATE TABLE half ();\nALTER TABLE absent ADD COLUMN x int;")
    write_migration("003_c")

    with pytest.raises(MigrationFailedError) as failure:
        await migrate(empty_database_settings, folder=folder)

    assert ["migration", "t001_a"] == await empty_connection.fetchval(TABLES)
    assert ("002_b", "forwards") == (failure.value.migration_id, failure.value.direction)
    assert 'relation "absent" does not exist (SQLSTATE 42P01)' in str(failure.value)


async def test_failing_line_is_shown(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Where the server points into the script, the error shows the line."""
    write_migration("001_a", forwards="CREATE TABLE a ();\nCREATE TABLE b (x uuidd);\nCREATE TABLE c ();")

    with pytest.raises(MigrationFailedError, match=r"at: CREATE TABLE b \(x uuidd\);"):
        await migrate(empty_database_settings, folder=folder)


async def test_failing_commit_leaves_nothing(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A constraint that is checked as late as the commit undoes migration and record together."""
    deferred = "REFERENCES parent DEFERRABLE INITIALLY DEFERRED"
    write_migration(
        "001_a",
        forwards=f"CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int {deferred});"
        "INSERT INTO child VALUES (1)",
    )

    with pytest.raises(MigrationFailedError, match="violates foreign key constraint"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval(TABLES) is None


async def test_failed_way_back_changes_nothing(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What somebody built on a table stops its removal, is named, and all stays as it was."""
    write_migration("001_a", forwards="CREATE TABLE a (x int)", backwards="DROP TABLE a")
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("CREATE VIEW theirs AS SELECT x FROM a")

    with pytest.raises(MigrationFailedError, match=r"view theirs depends on table a(.|\n)*remove that first"):
        await revert(empty_database_settings, folder=folder)

    assert () == await migrate(empty_database_settings, folder=folder)
    assert ["a", "migration"] == await empty_connection.fetchval(TABLES)


async def test_broken_file_stops_all_before_the_first(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A file that can't be read is found before anything is applied."""
    write_migration("001_a")
    write_migration("002_b").write_text("ID = '002_b'\nraise ValueError('broken')\n")

    with pytest.raises(BrokenMigrationError, match=r"sherpa_002_b\.py cannot be imported.*broken"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval(TABLES) is None


@pytest.mark.parametrize("own", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"])
async def test_own_commit_is_noticed(
    own: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that ends the runner's transaction is reported, and not recorded as applied."""
    write_migration("001_a", forwards=f"CREATE TABLE a (); {own}; CREATE TABLE b ()")

    with pytest.raises(BrokenMigrationError, match="001_a ended the runner's transaction"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('migration')") is None


async def test_lost_connection_is_called_so(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """When the session ends under way, the error says what is certain, and the next run goes on."""
    write_migration("001_a", forwards="SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ConnectionFailedError, match=r"001_a ran forwards .*\. It is done whole"):
        await migrate(empty_database_settings, folder=folder)

    write_migration("001_a")
    steps = await migrate(empty_database_settings, folder=folder)
    assert ["001_a"] == [step.migration_id for step in steps]


async def test_lost_lock_stops_the_run(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that lets go of the lock is undone, and nothing more is applied."""
    write_migration("001_a", forwards="SELECT pg_advisory_unlock_all()")
    write_migration("002_b")

    with pytest.raises(LockHeldError, match="no longer holds the lock"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval(TABLES) is None


async def test_session_gives_up_early_on_locks(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration waits for a lock 5 s at most, runs as long as it must, and tells its session by name."""
    write_migration(
        "001_a",
        forwards="CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS locks,"
        " current_setting('statement_timeout') AS statements, current_setting('application_name') AS name",
    )

    await migrate(empty_database_settings, folder=folder)

    assert [("5s", "0", "sherpa-migrate")] == [
        tuple(row) for row in await empty_connection.fetch("SELECT * FROM seen")
    ]


async def test_long_lock_stops_the_migration(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A table that somebody keeps locked fails the migration in time, with the advice to try again."""
    await empty_connection.execute("CREATE TABLE busy ()")
    write_migration("001_a", forwards="ALTER TABLE busy ADD COLUMN x int", lock_timeout_seconds=0.05)

    async with empty_connection.transaction():
        await empty_connection.execute("LOCK TABLE busy IN ACCESS SHARE MODE")
        with pytest.raises(MigrationFailedError, match=r"lock timeout(.|\n)*at a quieter time"):
            await migrate(empty_database_settings, folder=folder, retries=ONCE)

    steps = await migrate(empty_database_settings, folder=folder)
    assert ["001_a"] == [step.migration_id for step in steps]


async def test_steps_and_notices_are_reported(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Each migration is told when it is done, with its duration, and so is what the server remarks."""
    write_migration("001_a", forwards="DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")
    told: list[Event] = []

    steps = await migrate(empty_database_settings, folder=folder, report=told.append)

    assert [Notice("by the way"), Step("001_a", "forwards", steps[0].seconds)] == told
    assert steps[0].seconds > 0
