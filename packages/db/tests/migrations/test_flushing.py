"""Which commits of a run wait for the disk: those that the others may rely on."""

from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.runner import migrate

type WriteMigration = Callable[..., Path]

NOTE = "INSERT INTO commits SELECT '{0}', current_setting('synchronous_commit')"
CODE = '''

async def note(run):
    """Be code, and note how this transaction will commit."""
    await run.connection.execute(FORWARDS)


forwards = Migration(ID, DESCRIPTION, forwards=note, backwards=note)
'''


@pytest.fixture
async def durable(empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection) -> None:
    """Make the database wait for the disk, as those do that are not for tests, and a table to note it in."""
    name = empty_database_settings.url.database
    await empty_connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    await empty_connection.execute("CREATE TABLE commits (migration text, waits text)")


@pytest.mark.usefixtures("durable")
async def test_only_the_last_commit_waits_for_the_disk(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """SQL before the last migration does not wait, for its record would be lost with it; code does."""
    for migration_id in ("001_sql", "002_code", "003_sql", "004_last"):
        file = write_migration(migration_id, NOTE.format(migration_id))
        if migration_id == "002_code":
            file.write_text(file.read_text() + CODE)

    await migrate(empty_database_settings, folder=folder)

    rows = await empty_connection.fetch("SELECT migration, waits FROM commits ORDER BY migration")
    assert {"001_sql": "off", "002_code": "on", "003_sql": "off", "004_last": "on"} == dict(map(tuple, rows))


@pytest.mark.usefixtures("durable")
async def test_the_run_before_does_not_matter(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """The last one up to a target is the last one of its run."""
    for migration_id in ("001_a", "002_b"):
        write_migration(migration_id, NOTE.format(migration_id))

    await migrate(empty_database_settings, to="001", folder=folder)

    assert "on" == await empty_connection.fetchval("SELECT waits FROM commits")
