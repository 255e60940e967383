"""Histories and files that contradict each other: refused before anything runs, all at once, with a cure."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import RunAside, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.status import read_status

type Command = Callable[..., Awaitable[object]]

BOTH_WAYS = pytest.mark.parametrize("command", [migrate, revert])


@BOTH_WAYS
async def test_edited_migration_stops_both_ways(
    command: Command, folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A file that does something else than what was applied asks for a new migration, or for a repair."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    write_migration("001_a", forwards="CREATE TABLE t001_a (added int)")

    with pytest.raises(HistoryError, match=r"001_a was edited after it was applied.*--repair"):
        await command(empty_database_settings, folder=folder)


async def test_comments_and_layout_are_no_edit(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A formatter, a comment or another docstring does not stop a release."""
    path = write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    text = (
        path.read_text()
        .replace("Made up", "Remade")
        .replace("'CREATE TABLE", "'''-- A table.\n  CREATE  TABLE")
    )
    path.write_text(text.replace("t001_a ()'", "t001_a\n(\n);'''  # noqa"))

    assert () == await migrate(empty_database_settings, folder=folder)


async def test_edited_file_takes_no_api_down(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Whoever asks only whether the schema will do is told that it does."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    write_migration("001_a", forwards="CREATE TABLE t001_a (added int)")

    assert (await read_status(empty_connection, list_files(folder))).at_head


@BOTH_WAYS
async def test_unknown_migration_stops_both_ways(
    command: Command, folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A database that is ahead of the code is neither migrated nor reverted by it."""
    write_migration("001_a")
    newest = write_migration("002_b")
    await migrate(empty_database_settings, folder=folder)
    newest.unlink()

    with pytest.raises(
        HistoryError, match=r"002_b, which this code does not know.*newest code.*bring it back"
    ):
        await command(empty_database_settings, folder=folder)


@BOTH_WAYS
async def test_late_migration_stops_both_ways(
    command: Command,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that is older than the newest applied one asks for a new number, which it is told."""
    for migration_id in ("001_a", "002_b", "003_c"):
        write_migration(migration_id)
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("DELETE FROM migration WHERE name = '002_b'")

    with pytest.raises(HistoryError, match=r"002_b came late: 003_c is already applied.* 004,"):
        await command(empty_database_settings, folder=folder)


async def test_late_migration_is_applied_when_allowed(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """`allow_out_of_order` applies the late one, after which nothing is wrong; the way back is by ID."""
    for migration_id in ("001_a", "002_b", "003_c"):
        write_migration(migration_id)
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("DELETE FROM migration WHERE name = '002_b'; DROP TABLE t002_b")

    with pytest.raises(HistoryError, match="--allow-out-of-order"):
        await migrate(empty_database_settings, folder=folder)
    done = await migrate(empty_database_settings, folder=folder, allow_out_of_order=True)

    assert ["002_b"] == [step.migration_id for step in done]
    assert () == await migrate(empty_database_settings, folder=folder)
    assert ["003_c", "002_b"] == [
        step.migration_id for step in await revert(empty_database_settings, folder=folder, steps=2)
    ]


async def test_command_applies_a_late_one_when_allowed(
    run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """`--allow-out-of-order` shows it in a dry run, and applies it; without, both end with 4."""
    await run_aside("migrate")
    await empty_connection.execute("DROP TABLE billing_history, memberships")
    await empty_connection.execute("DELETE FROM migration WHERE name = '002_membership'")

    refused = [await run_aside("migrate", *more) for more in ([], ["--dry-run"])]
    _, shown, _ = await run_aside("migrate", "--allow-out-of-order", "--dry-run")
    code, told, _ = await run_aside("migrate", "--allow-out-of-order")

    assert [4, 4] == [each[0] for each in refused]
    assert "CREATE TABLE memberships" in shown
    assert (0, ["002_membership", "applied"]) == (code, told.split()[:2])


@pytest.mark.parametrize(
    ("ids", "fact"),
    [
        (("001_a", "001_b"), "001_a and 001_b share a number: .* 002,"),
        (("001_a", "0001_b"), "0001_b and 001_a share a number"),
        (("001_a", "003_c"), r"003_c follows on nothing: there is no 002.*Get it.*without a gap"),
        (("002_b",), "002_b follows on nothing: there is no 001"),
    ],
)
@BOTH_WAYS
async def test_numbers_in_disorder_stop_both_ways(
    ids: tuple[str, ...],
    fact: str,
    command: Command,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Two files with one number, as two branches make them, or a number left out: nothing is applied."""
    for migration_id in ids:
        write_migration(migration_id)

    with pytest.raises(HistoryError, match=fact):
        await command(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('migration')") is None


async def test_double_record_is_refused(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """A history that names a migration twice, as Piccolo's own table allows, is not built upon."""
    await migrate(empty_database_settings)
    await empty_connection.execute("""
        ALTER TABLE migration DROP CONSTRAINT migration_app_name_name_key;
        INSERT INTO migration (name, app_name) VALUES ('001_foundation', 'sherpa')
    """)

    with pytest.raises(HistoryError, match=r"001_foundation is recorded twice.*Delete the newer row"):
        await migrate(empty_database_settings)


async def test_everything_is_told_at_once(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Each contradiction has its line, so that nobody mends one to meet the next."""
    for migration_id in ("001_a", "002_b", "003_c", "004_d"):
        write_migration(migration_id)
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("DELETE FROM migration WHERE name = '002_b'")
    write_migration("001_a", forwards="SELECT 1")
    (folder / "sherpa_003_c.py").unlink()
    write_migration("005_e")
    write_migration("005_f")
    write_migration("007_g")

    found = (await examine(empty_connection, list_files(folder))).contradictions()

    assert [
        "001_a was edited",
        "The database has 003_c",
        "002_b came late",
        "005_e and 005_f share a number",
        "007_g follows on nothing",
    ] == [re.sub(r"( after|,|:).*", "", line) for line in found]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE migration SET source = 'x = 1' WHERE name LIKE '001%'",
        "INSERT INTO migration (name, app_name) VALUES ('999_z', 'sherpa')",
        "DELETE FROM migration WHERE name LIKE '001%'",
    ],
    ids=["edited", "missing", "late"],
)
@pytest.mark.parametrize(
    "command",
    [["migrate"], ["revert"], ["migrations"], ["migrations", "--json"], ["migrate", "--dry-run"]],
    ids=" ".join,
)
async def test_commands_end_with_4(
    harm: str, command: list[str], run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """Every command that meets a contradictory history ends with the same exit code, and says why."""
    await run_aside("migrate")
    await empty_connection.execute(harm)

    code, _, err = await run_aside(*command)

    assert 4 == code
    assert re.search("was edited|does not know|came late", err)
