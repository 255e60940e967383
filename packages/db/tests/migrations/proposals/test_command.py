"""`migration WORDS` as people call it: what it asks, what it writes, what it says, how it ends."""

import re
import shutil
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Run, RunAside, Start
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.checkpoints import Checkpoints
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.unfinished import MARK

AWAY = "postgresql://u:hidden@127.0.0.1:1/x"

COMMAND = "import sys\nfrom sherpa.db.cli import main\nsys.exit(main(sys.argv[1:]))"
# The memberships as a developer has just changed them, in a process of its own.
EDITED = """
import sherpa.db.tables as tables
from piccolo.columns import Varchar

class Memberships(tables.Memberships, tablename="memberships"):
    motto = Varchar(length=50, null=True, default=None)
    ddl_indexes = (
        *tables.Memberships.ddl_indexes, "CREATE INDEX by_motto ON memberships (motto)"
    )
tables.TABLES = tuple(Memberships if table is tables.Memberships else table for table in tables.TABLES)
"""
OLDER = [file.id for file in list_files()]
NEXT = f"{len(OLDER) + 1:03}"


@pytest.fixture
def copied(folder: Path) -> Path:
    """Return a folder with our own migrations in it."""
    for file in list_files():
        shutil.copy(file.path, folder)
    return folder


@pytest.fixture
def migrated(copied: Path, run: Run) -> Path:
    """Return that folder, with its migrations applied."""
    run("migrate")
    return copied


def test_no_change_gives_a_template(migrated: Path, run: Run) -> None:
    """Where tables and database agree there is a file to be filled in, and its path is told."""
    code, out, err = run("migration", "add", "motto to memberships", "--folder", str(migrated))

    path = migrated / f"sherpa_{NEXT}_add_motto_to_memberships.py"
    assert (0, "") == (code, err)
    assert out.startswith("Nothing is proposed: the database has the tables as they are declared.\n")
    assert re.search(rf"^Wrote .*{path.name}$", out, re.MULTILINE)
    assert "TODO" in out
    assert MARK in path.read_text()


def test_changed_tables_are_proposed(migrated: Path, start_python: Start) -> None:
    """A new column and its index are two files, ready to be applied, and taken back."""
    process = start_python(EDITED + COMMAND, "migration", "motto", "--folder", str(migrated))
    out, err = process.communicate(timeout=60)

    names = [f"{NEXT}_motto", f"{len(OLDER) + 2:03}_motto_indexes"]
    column, index = (load(file) for file in list_files(migrated)[len(OLDER) :])
    assert (0, "") == (process.returncode, err)
    assert names == re.findall(r"^Wrote .*sherpa_(\w+)\.py$", out, re.MULTILINE)
    assert "ALTER TABLE memberships ADD COLUMN motto VARCHAR(50);" in str(column.forwards)
    assert ("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_motto ON memberships (motto)",) == index.forwards


def test_pending_migrations_come_first(copied: Path, run: Run) -> None:
    """On a database that isn't at head nothing is written: what is pending would be proposed once more."""
    code, out, err = run("migration", "motto", "--folder", str(copied))

    assert (3, "") == (code, out)
    assert "Pending in" in err
    assert OLDER[0] in err
    assert "inv migrate" in err
    assert OLDER == [file.id for file in list_files(copied)]


@pytest.mark.parametrize(
    ("url", "fact"),
    [
        (AWAY, "can't be reached"),
        ("no-url", "DATABASE_URL"),
        (None, "DATABASE_URL"),
    ],
)
def test_without_a_database_there_is_a_template(
    url: str | None, fact: str, copied: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers the file is written all the same, and stderr says what is missing."""
    monkeypatch.delenv("DATABASE_URL")
    if url is not None:
        monkeypatch.setenv("DATABASE_URL", url)

    code, out, err = run("migration", "motto", "--folder", str(copied))

    assert 0 == code
    assert "Wrote " in out
    assert "Nothing is proposed, for the database could not be asked." in err
    assert fact in err
    assert "hidden" not in err
    assert f"{NEXT}_motto" == list_files(copied)[-1].id


@pytest.mark.parametrize("words", [[""], ["?!"], ["x" * 200], ["имя"], ["foundation"], []])
def test_bad_words_are_wrong_use(words: list[str], migrated: Path, run: Run) -> None:
    """Words that make no name end with exit code 2 and the reason, before any database is asked."""
    code, out, err = run("migration", "--folder", str(migrated), "--", *words)

    assert (2, "") == (code, out)
    assert err
    assert OLDER == [file.id for file in list_files(migrated)]


def test_two_branches_with_one_number_end_with_four(migrated: Path, run: Run) -> None:
    """After a merge of two branches the contradiction is told instead of a third number taken."""
    run("migration", "mine", "--folder", str(migrated))
    mine = list_files(migrated)[-1]
    theirs = mine.path.with_name(mine.path.name.replace("mine", "theirs"))
    theirs.write_text(mine.path.read_text().replace("mine", "theirs"))

    code, out, err = run("migration", "third", "--folder", str(migrated))

    assert (4, "") == (code, out)
    assert "share a number" in err


def test_unwritable_place_is_told(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that can't be written is named, with what to do: a container's code is often read-only."""
    monkeypatch.setenv("DATABASE_URL", AWAY)
    blocked = folder / "file"
    blocked.write_text("")

    code, out, err = run("migration", "motto", "--folder", str(blocked))

    assert (1, "") == (code, out)
    assert f"{blocked}/sherpa_001_motto.py can't be written: Not a directory." in err
    assert "checkout" in err


async def test_progress_of_a_data_migration_is_not_proposed(
    migrated: Path, run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """The table in which a data migration keeps its place stays out of every proposal."""
    await Checkpoints("009_fill", "forwards").begin(empty_connection, "UPDATE t", 1, "1")

    _, out, _ = await run_aside("migration", "motto", "--folder", str(migrated))

    assert out.startswith("Nothing is proposed: the database has the tables as they are declared.\n")


async def test_asking_leaves_no_trace(
    migrated: Path, run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """The database is the same afterwards: the declared tables are built in a schema that is rolled back."""
    before = await snapshot(empty_connection)

    await run_aside("migration", "motto", "--folder", str(migrated))

    assert () == diff(before, await snapshot(empty_connection))
