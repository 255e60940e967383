"""Which files are migrations, in which order, and which ID a shortened one means."""

from pathlib import Path

import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.db.migrations.errors import (
    AmbiguousMigrationError,
    BrokenMigrationError,
    UnknownMigrationError,
)
from sherpa.db.migrations.files import complete, list_files
from sherpa.db.migrations.loading import load

IDS = ("001_foundation", "002_membership", "0021_more")


def test_the_issue_names_the_first_two() -> None:
    """The code's own migrations begin with the foundation and the membership."""
    assert ("001_foundation", "002_membership") == tuple(file.id for file in list_files())[:2]


def test_ids_order_the_files(folder: Path, write_migration: WriteMigration) -> None:
    """Files come in the order of their IDs, whichever was written first."""
    write_migration("002_b")
    write_migration("001_a")

    assert ["001_a", "002_b"] == [file.id for file in list_files(folder)]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (b"ID = '\xc3\xa9'\r\n", "ID = 'é'\n"),
        (b"\xef\xbb\xbfID = 1\n", "ID = 1\n"),
        (b"# coding: latin-1\nID = '\xe9'\n", "# coding: latin-1\nID = 'é'\n"),
    ],
    ids=["line ends of Windows", "byte order mark", "another encoding"],
)
def test_source_is_read_as_python_does(
    stored: bytes, expected: str, folder: Path, write_migration: WriteMigration
) -> None:
    """What is recorded of a file is its text, however a checkout stores it."""
    write_migration("001_a").write_bytes(stored)

    assert expected == list_files(folder)[0].read_source()


def test_unreadable_source_is_named(folder: Path, write_migration: WriteMigration) -> None:
    """A file that is no text is an error that names it."""
    write_migration("001_a").write_bytes(b"ID = '\xff'")

    with pytest.raises(BrokenMigrationError, match=r"sherpa_001_a\.py cannot be read"):
        list_files(folder)[0].read_source()


@pytest.mark.parametrize("name", ["001_a.py", "sherpa_1_a.py", "sherpa_001.py", "notes.py"])
def test_foreign_file_is_refused(name: str, folder: Path) -> None:
    """A Python file that is no migration of ours is an error: Piccolo's tools would import it."""
    (folder / name).touch()

    with pytest.raises(BrokenMigrationError, match="no migration"):
        list_files(folder)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("001", "001_foundation"), ("001_foundation", "001_foundation"), ("002_", "002_membership")],
)
def test_unique_beginning_is_enough(wanted: str, expected: str) -> None:
    """An ID may be shortened as long as one fits."""
    assert expected == complete(wanted, IDS)


def test_whole_id_wins() -> None:
    """An ID that is the beginning of another one still means itself."""
    assert "001_a" == complete("001_a", ("001_a", "001_ab"))


def test_ambiguous_beginning_lists_candidates() -> None:
    """A beginning of several IDs is an error that lists them."""
    with pytest.raises(AmbiguousMigrationError, match="any of 002_membership, 0021_more"):
        complete("002", IDS)


@pytest.mark.parametrize("wanted", ["003", "foundation", ""])
def test_unknown_id_lists_the_known(wanted: str) -> None:
    """An ID that fits none is an error that lists those that exist."""
    with pytest.raises(UnknownMigrationError, match="Known: 001_foundation, 002_membership, 0021_more"):
        complete(wanted, IDS)


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ('ID = "001_a"', 'ID = "001_b"', "says ID = '001_b'"),
        ("forwards = Migration(", "forwards = dict(a=", "cannot be imported"),
        ("forwards = Migration(ID,", "forwards = Migration('002_b',", r"Migration\('002_b', …\)"),
        ("forwards = Migration", "something = Migration", "`forwards` must be a Migration, not None"),
        ("import Irreversible, Migration", "import nonsense", "cannot be imported"),
        ("forwards = Migration(", "raise ValueError('bad day')\nforwards = Migration(", "bad day"),
        ("FORWARDS = 'CREATE TABLE t001_a ()'", 'FORWARDS = " "', "forwards must be SQL"),
        ("BACKWARDS = 'DROP TABLE t001_a'", "BACKWARDS = None", "backwards must be SQL"),
        ("'DROP TABLE t001_a'", "''\nBACKWARDS = Irreversible(' ')", "backwards must be SQL"),
        ("FORWARDS = 'CREATE TABLE t001_a ()'", 'FORWARDS = Irreversible("no")', "forwards must be SQL"),
        ("BACKWARDS, )", "BACKWARDS, transaction=False)", "must be a tuple of single statements"),
    ],
    ids=[
        "other ID",
        "wrong call",
        "other migration",
        "no migration",
        "bad import",
        "failing import",
        "nothing forwards",
        "no way back",
        "no reason",
        "no way there",
        "script without transaction",
    ],
)
def test_malformed_file_is_refused(
    old: str, new: str, fact: str, folder: Path, write_migration: WriteMigration
) -> None:
    """A file that does not say what the runner needs is an error that names the file and what is missing."""
    path = write_migration("001_a")
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(BrokenMigrationError, match=fact) as broken:
        load(list_files(folder)[0])

    assert str(path) in str(broken.value)
