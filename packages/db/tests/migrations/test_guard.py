"""A migration leaves the session as it found it, or it is not recorded: the next ones would go astray."""

from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import BrokenMigrationError, LockHeldError, MigrationFailedError
from sherpa.db.migrations.runner import migrate

SETTINGS = [
    ("SET search_path = shop", "search_path"),
    ("SET LOCAL search_path = shop", "search_path"),
    ("SELECT set_config('search_path', '', false)", "search_path"),
    ("SET ROLE NONE; SET ROLE {user}", "role"),
    ("SET SESSION AUTHORIZATION DEFAULT; SET ROLE {user}", "role"),
    ("SET TimeZone = 'Asia/Tokyo'", "TimeZone"),
    ("SET DateStyle = 'German'", "DateStyle"),
]


@pytest.mark.parametrize(("change", "name"), SETTINGS)
async def test_changed_session_is_noticed(
    change: str,
    name: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What would lead the record, or the next migrations, astray is named, undone and not recorded."""
    change = change.format(user=empty_database_settings.url.username)
    write_migration("001_a", forwards=f"CREATE SCHEMA shop; CREATE TABLE a (); {change}")

    with pytest.raises(
        BrokenMigrationError, match=rf"001_a changed {name} from .*put {name} back at its end"
    ):
        await migrate(empty_database_settings, folder=folder)

    assert (
        await empty_connection.fetchval("SELECT coalesce(to_regclass('a'), to_regclass('migration'))") is None
    )


@pytest.mark.parametrize("change", ["SET search_path = shop", "SET TimeZone = 'Asia/Tokyo'"])
async def test_changed_session_is_noticed_without_a_transaction(
    change: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """So it is where nothing can be undone: the record is not written anywhere."""
    write_migration("001_a", forwards=(change,), backwards=("SELECT 1",), transaction=False)

    with pytest.raises(BrokenMigrationError, match="and left it so"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('migration')") is None


async def test_session_put_back_is_well(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A migration may change the session for its own length."""
    write_migration(
        "001_a",
        forwards="CREATE SCHEMA shop; SET search_path = shop; CREATE TABLE a (); RESET search_path",
    )

    assert 1 == len(await migrate(empty_database_settings, folder=folder))


async def test_other_settings_do_not_outlive_the_limits(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A limit that one migration sets for the session is not the next one's."""
    write_migration("001_a", forwards="SET lock_timeout = 0; SET statement_timeout = '1h'")
    write_migration("002_b", forwards="CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS locks")

    await migrate(empty_database_settings, folder=folder)

    assert "5s" == await empty_connection.fetchval("SELECT locks FROM seen")


async def test_open_transaction_is_noticed(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration without a transaction that begins one and leaves it open is not recorded."""
    write_migration(
        "001_a", forwards=("BEGIN", "CREATE TABLE a ()"), backwards=("DROP TABLE a",), transaction=False
    )

    with pytest.raises(BrokenMigrationError, match="001_a left a transaction open"):
        await migrate(empty_database_settings, folder=folder)

    assert (
        await empty_connection.fetchval("SELECT coalesce(to_regclass('a'), to_regclass('migration'))") is None
    )


async def test_commit_before_a_failure_is_noticed(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A script that commits and then fails is not told to be rolled back, for that would be no truth."""
    write_migration("001_a", forwards="CREATE TABLE a (); COMMIT; SELECT 1 / 0")

    with pytest.raises(BrokenMigrationError, match="001_a ended the runner's transaction"):
        await migrate(empty_database_settings, folder=folder)


async def test_lock_let_go_between_statements_is_noticed(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Without a transaction as well, nothing goes on when others are no longer kept out."""
    write_migration(
        "001_a",
        forwards=("SELECT pg_advisory_unlock_all()", "CREATE TABLE a ()"),
        backwards=("DROP TABLE a",),
        transaction=False,
    )

    with pytest.raises(LockHeldError, match="no longer holds the lock"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('a')") is None


async def test_vacuum_in_a_transaction_is_told_what_to_do(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """What can't run in a transaction fails with the one word that it needs."""
    write_migration("001_a", forwards="CREATE TABLE a (x int); VACUUM a")

    with pytest.raises(MigrationFailedError, match="transaction=False"):
        await migrate(empty_database_settings, folder=folder)
