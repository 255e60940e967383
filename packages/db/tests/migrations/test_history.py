"""What is recorded of a migration; and the formats that older runners and Piccolo left, which go on."""

import getpass
import socket
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.files import digest
from sherpa.db.migrations.history import read_history
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.session import open_session

# Exactly as the runner made it before it recorded sources.
OLD_TABLE = """
CREATE TABLE migration (
    id SERIAL PRIMARY KEY NOT NULL,
    name VARCHAR(200) NOT NULL DEFAULT '',
    app_name VARCHAR(200) NOT NULL DEFAULT '',
    ran_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (app_name, name)
);
COMMENT ON TABLE migration IS 'What sherpa.db applied, and when (UTC); in the format of Piccolo';
"""
PICCOLOS_TABLE = """
CREATE TABLE migration (
    id SERIAL PRIMARY KEY NOT NULL,
    name VARCHAR(200) NOT NULL DEFAULT '',
    app_name VARCHAR(200) NOT NULL DEFAULT '',
    ran_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""
APPLIED = """
CREATE TABLE t001_a ();
INSERT INTO migration (name, app_name, ran_on) VALUES ('001_a', 'sherpa', '2026-01-02 03:04:05');
"""
ADDED = """
ALTER TABLE migration ADD source TEXT, ADD applied_by TEXT, ADD duration_seconds DOUBLE PRECISION;
GRANT USAGE ON SEQUENCE migration_id_seq TO PUBLIC;
GRANT SELECT, INSERT ON migration"""
ROWS = "SELECT id, name, app_name, ran_on FROM migration ORDER BY id"

BOTH_FORMATS = pytest.mark.parametrize("table", [OLD_TABLE, PICCOLOS_TABLE], ids=["older runner", "Piccolo"])


async def test_record_tells_what_when_who_and_how_long(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A record holds the file's text to the letter, who ran it where as which role, and how long it took."""
    path = write_migration("001_a", forwards="CREATE TABLE t001_a (\"é → 'x'\" int)")

    (step,) = await migrate(empty_database_settings, folder=folder)

    (record,) = await read_history(empty_connection)
    source = path.read_text()
    assert source == await empty_connection.fetchval("SELECT source FROM migration")
    assert digest(source) == record.digest
    user, role = getpass.getuser(), empty_database_settings.url.username
    assert f"{user}@{socket.gethostname()} as {role}" == record.applied_by
    assert record.duration_seconds is not None
    assert 0 < record.duration_seconds <= step.seconds


@BOTH_FORMATS
async def test_older_format_is_read_as_it_is(
    table: str,
    empty_database_settings: DatabaseSettings,
    guest_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Somebody who may only read sees a history without our columns as applied, and changes nothing."""
    await empty_connection.execute(table + APPLIED)
    await empty_connection.execute(f"GRANT SELECT ON migration TO {guest_settings.url.username}")
    before = await snapshot(empty_connection)

    async with open_session(guest_settings) as guest:
        (record,) = await read_history(guest)

    assert ("001_a", None, None, None) == (
        record.id, record.applied_by, record.duration_seconds, record.digest
    )  # fmt: skip
    assert "2026-01-02T03:04:05+00:00" == record.at.isoformat()
    assert () == diff(before, await snapshot(empty_connection))


@BOTH_FORMATS
async def test_older_format_is_completed_without_loss(
    table: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """The next run that applies something adds our columns and the sources; every old fact stays."""
    await empty_connection.execute(table + APPLIED)
    path = write_migration("001_a")
    write_migration("002_b")
    (before,) = await empty_connection.fetch(ROWS)

    await migrate(empty_database_settings, folder=folder)

    assert before == (await empty_connection.fetch(ROWS))[0]
    first, second = await read_history(empty_connection)
    assert (digest(path.read_text()), None) == (first.digest, first.applied_by)
    assert second.applied_by


@BOTH_FORMATS
async def test_nothing_to_do_changes_no_format(
    table: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A run that applies nothing leaves the table as it is."""
    await empty_connection.execute(table + APPLIED)
    write_migration("001_a")
    before = await snapshot(empty_connection)

    await migrate(empty_database_settings, folder=folder)

    assert () == diff(before, await snapshot(empty_connection))


@pytest.mark.parametrize(
    ("table", "remains"), [(OLD_TABLE, []), (PICCOLOS_TABLE, ["migration"])], ids=["older runner", "Piccolo"]
)
async def test_older_format_goes_back(
    table: str,
    remains: list[str],
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """The way back ends where it began: without our table, or with Piccolo's as Piccolo made it."""
    await empty_connection.execute(table)
    before = await snapshot(empty_connection)
    await empty_connection.execute(APPLIED)
    write_migration("001_a")
    write_migration("002_b")
    await migrate(empty_database_settings, folder=folder)

    await revert(empty_database_settings, folder=folder, everything=True)

    after = await snapshot(empty_connection)
    tables = await empty_connection.fetch("SELECT relname FROM pg_class WHERE relname = 'migration'")
    assert remains == [row["relname"] for row in tables]
    assert not remains or () == diff(before, after)


async def test_failed_migration_changes_no_format(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Our columns come with the first record, in its transaction: a failure adds none."""
    await empty_connection.execute(OLD_TABLE + APPLIED)
    write_migration("001_a")
    write_migration("002_b", forwards="SELECT 1/0")
    before = await snapshot(empty_connection)

    with pytest.raises(Exception, match="division by zero"):
        await migrate(empty_database_settings, folder=folder)

    assert () == diff(before, await snapshot(empty_connection))


async def test_role_that_may_only_add_goes_on(
    folder: Path,
    write_migration: WriteMigration,
    guest_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Who may add records but change none migrates all the same; what older ones lack stays for its owner."""
    await empty_connection.execute(f"{OLD_TABLE}{APPLIED}{ADDED} TO {guest_settings.url.username}")
    write_migration("001_a")
    write_migration("002_b")

    await migrate(guest_settings, folder=folder)

    first, second = await read_history(empty_connection)
    assert first.digest is None
    assert second.digest
