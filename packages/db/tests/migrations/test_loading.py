"""What a migration file must be, so that the runner can keep its promises: checked before anything runs."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from packages.db.tests.migrations.conftest import Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import BrokenMigrationError, IrreversibleError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.migration import Irreversible
from sherpa.db.migrations.runner import migrate, revert

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"forwards": "   "}, "forwards must be SQL"),
    ({"backwards": ("DROP TABLE a", " ")}, "backwards must be SQL"),
    ({"forwards": "-- nothing; /* really */ ;"}, "forwards must be SQL"),
    ({"forwards": 7}, "forwards must be SQL"),
    ({"forwards": Irreversible("no")}, "forwards must be SQL"),
    ({"backwards": Irreversible(" ")}, "backwards must be SQL"),
    ({"transaction": False}, "without a transaction, forwards must be a tuple"),
    ({"lock_timeout_seconds": -1}, "lock_timeout_seconds must be a number of seconds"),
    ({"statement_timeout_seconds": float("nan")}, "statement_timeout_seconds must be a number"),
]


@pytest.mark.parametrize(("parts", "fault"), FAULTS, ids=str)
def test_faulty_file_is_refused(
    parts: dict[str, Any], fault: str, folder: Path, write_migration: WriteMigration
) -> None:
    """The file is named, with what is wrong in it."""
    path = write_migration("001_a", **parts)
    path.write_text(path.read_text().replace("=nan", "=float('nan')"))

    with pytest.raises(BrokenMigrationError, match=rf"sherpa_001_a\.py: {fault}"):
        load(list_files(folder)[0])


def test_code_must_be_asynchronous(folder: Path, write_migration: WriteMigration) -> None:
    """A function that is not `async` would never be run to its end."""
    path = write_migration("001_a", forwards="CODE")
    code = "def work(run):\n    pass\n\n\nFORWARDS = work"
    path.write_text(path.read_text().replace("FORWARDS = 'CODE'", code))

    with pytest.raises(BrokenMigrationError, match="an async function that takes a Run"):
        load(list_files(folder)[0])


def test_edit_of_the_same_length_counts(folder: Path, write_migration: WriteMigration) -> None:
    """What runs is what the file says now, though its length and its time are those of a moment ago."""
    path = write_migration("001_a", forwards="SELECT 1")
    load(list_files(folder)[0])
    times = path.stat()
    write_migration("001_a", forwards="SELECT 2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    migration = load(list_files(folder)[0])

    assert "SELECT 2" == migration.forwards


@pytest.fixture
async def irreversible_second(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Apply three migrations, the second of which has no way back."""
    write_migration("001_a")
    write_migration("002_b", backwards=Irreversible("the old numbers are gone"))
    write_migration("003_c")
    await migrate(empty_database_settings, folder=folder)


@pytest.mark.usefixtures("irreversible_second")
@pytest.mark.parametrize("how_far", [{"steps": 2}, {"to": "001"}, {"everything": True}], ids=str)
async def test_revert_stops_before_it_begins(
    how_far: dict[str, Any], folder: Path, empty_database_settings: DatabaseSettings
) -> None:
    """Where one has no way back nothing is reverted; the error has the reason, and how far one can go."""
    with pytest.raises(
        IrreversibleError,
        match=r"002_b has no way back: the old numbers are gone\. Nothing was reverted.* --to 002_b",
    ):
        await revert(empty_database_settings, folder=folder, **how_far)

    assert () == await migrate(empty_database_settings, folder=folder)


@pytest.mark.usefixtures("irreversible_second")
async def test_command_ends_with_5(start_folder: Start) -> None:
    """A command that is asked for a way that does not exist says why, reverts nothing, and ends with 5."""
    command = start_folder("revert", "--steps", "2")
    out, err = await asyncio.to_thread(command.communicate)

    assert (5, "") == (command.returncode, out)
    assert err.startswith("002_b has no way back: the old numbers are gone. Nothing was reverted.")


@pytest.mark.usefixtures("irreversible_second")
async def test_revert_goes_as_far_as_it_can(folder: Path, empty_database_settings: DatabaseSettings) -> None:
    """What came after it can be reverted; then there is nowhere to go, and no advice to go there."""
    steps = await revert(empty_database_settings, to="002", folder=folder)

    assert ["003_c"] == [step.migration_id for step in steps]
    with pytest.raises(IrreversibleError) as failure:
        await revert(empty_database_settings, folder=folder)
    assert "inv revert" not in str(failure.value)
