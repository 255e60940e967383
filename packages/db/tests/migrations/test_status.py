"""What is applied and what is pending, read without writing; and histories that are somebody else's."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.status import read_status

IMPORTED = "import sys, sherpa.db.{module}; sys.exit('piccolo' in sys.modules)"


async def test_untouched_database_has_nothing_applied(empty_connection: asyncpg.Connection) -> None:
    """Without a history everything is pending, and asking writes nothing."""
    before = await snapshot(empty_connection)

    status = await read_status(empty_connection)

    assert ((), tuple(file.id for file in list_files())) == (status.applied, status.pending)
    assert not status.at_head
    assert () == diff(before, await snapshot(empty_connection))


async def test_applied_and_pending_are_told_apart(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """After `migrate --to 001` the first is applied, and the others are pending."""
    await migrate(empty_database_settings, to="001")

    status = await read_status(empty_connection)

    assert ("001_foundation",) == status.applied_ids
    assert tuple(file.id for file in list_files())[1:] == status.pending


async def test_head_is_everything_applied(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """With nothing pending the database is at the code's head, at a time in UTC."""
    await migrate(empty_database_settings)

    status = await read_status(empty_connection)

    assert status.at_head
    assert all(timedelta() <= datetime.now(UTC) - each.at < timedelta(hours=1) for each in status.applied)


async def test_database_ahead_of_the_code_is_at_head(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """While a release rolls out, the old code meets the new schema: nothing is pending, one is not known."""
    write_migration("001_a")
    newest = write_migration("002_b")
    await migrate(empty_database_settings, folder=folder)
    newest.unlink()

    status = await read_status(empty_connection, list_files(folder))

    assert status.at_head
    assert (("001_a", "002_b"), ("002_b",)) == (status.applied_ids, status.missing)


async def test_recording_twice_is_impossible(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The history that we make holds each migration once."""
    await migrate(empty_database_settings)

    with pytest.raises(asyncpg.UniqueViolationError):
        await empty_connection.execute(
            "INSERT INTO migration (name, app_name) VALUES ('001_foundation', 'sherpa')"
        )


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE migration (version int)",
        "CREATE TABLE migration (name text, app_name text, ran_on int)",
        """
        CREATE TABLE migration (name text, app_name text, ran_on text);
        INSERT INTO migration VALUES ('001', 'sherpa', 'yesterday or so')
        """,
        "CREATE TYPE migration AS (version int)",
        "CREATE TABLE t (); ALTER TABLE t ADD id int CONSTRAINT migration PRIMARY KEY",
    ],
)
async def test_foreign_history_is_refused(empty_connection: asyncpg.Connection, foreign: str) -> None:
    """Something called `migration` that is no history of Piccolo's shape is recognised as somebody else's."""
    await empty_connection.execute(foreign)

    with pytest.raises(HistoryError, match="not our table"):
        await read_status(empty_connection)


@pytest.mark.parametrize("kind", ["name int, app_name int", "name text, app_name int"])
async def test_foreign_history_of_our_shape_is_no_crash(
    empty_connection: asyncpg.Connection, kind: str
) -> None:
    """Somebody else's columns of our names hold no migration of ours."""
    await empty_connection.execute(f"CREATE TABLE migration ({kind}, ran_on date)")
    await empty_connection.execute("INSERT INTO migration VALUES (1, 2, now())")

    status = await read_status(empty_connection)

    assert () == status.applied


async def test_other_apps_history_is_left_alone(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Rows of another Piccolo app count neither as ours nor as empty: the table stays for them."""
    await migrate(empty_database_settings)
    await empty_connection.execute(
        "INSERT INTO migration (name, app_name) VALUES ('001_foundation', 'other')"
    )

    await revert(empty_database_settings, everything=True)

    assert ["other"] == [row[0] for row in await empty_connection.fetch("SELECT app_name FROM migration")]


@pytest.mark.parametrize("module", ["cli", "migrations.status", "migrations.runner"])
def test_listing_needs_no_piccolo(module: str) -> None:
    """What runs when nothing is pending does not even import the ORM."""
    done = subprocess.run([sys.executable, "-c", IMPORTED.format(module=module)], check=False)

    assert 0 == done.returncode


def test_nothing_to_do_needs_no_piccolo(database_settings: DatabaseSettings) -> None:
    """A whole run of `migrate` on a database at its head imports no ORM."""
    program = (
        "import sys; from sherpa.db.cli import main; code = main(['migrate']);"
        "sys.exit(code or 'piccolo' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env={"DATABASE_URL": database_settings.url.reveal()}, check=False
    )

    assert 0 == done.returncode
