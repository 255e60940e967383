"""New migration files: their names and numbers, what stands in them, and that nothing is ever overwritten."""

import ast
import asyncio
import os
import re
import resource
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import BrokenMigrationError, HistoryError, NamingError, UnwritableError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.proposals.new import LONGEST_NAME, write_migrations
from sherpa.db.migrations.proposals.plan import Draft
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.unfinished import MARK

RIVALS = 8
ROOT = Path(__file__).parents[4]
INDEX = Draft(
    "_indexes", False, ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",), ("SELECT 1",), ("x",)
)
TABLE = Draft("", True, ("CREATE TABLE t (a TEXT)",), ("DROP TABLE t",), ("t is new",))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("add nickname to memberships", "add_nickname_to_memberships"),
        ("  Add  Nickname\n(to memberships)!", "add_nickname_to_memberships"),
        ("drop the member's 2nd e-mail", "drop_the_members_2nd_e_mail"),
        ("größe in Zürich, naïve Straße", "grosse_in_zurich_naive_strasse"),
        ('say "hi" \\ {braces} %s """', "say_hi_braces_s"),
        ("../../etc/passwd; rm -rf /", "etc_passwd_rm_rf"),
        ("add x + and y… \x00\x1b[31m \u202e", "add_x_and_y_31m"),
        ("2", "2"),
        ("class", "class"),
        ("x" * LONGEST_NAME, "x" * LONGEST_NAME),
    ],
)
def test_words_become_a_name(words: str, name: str, folder: Path) -> None:
    """Whatever words are given, the file's name is a plain one, and the file is one that Python can read."""
    (file,) = write_migrations(words, [TABLE], folder=folder)

    assert f"sherpa_001_{name}.py" == file.path.name
    assert folder == file.path.parent
    assert file.id == load(file).id


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "a letter or a digit"),
        ("   ", "a letter or a digit"),
        ("---!?", "a letter or a digit"),
        ("🚀", "a letter or a digit"),
        ("добавить имя", "can't be written in ASCII"),
        ("add 名", "'名'"),
        ("x" * (LONGEST_NAME + 1), f"{LONGEST_NAME} are permitted"),
        ("word " * 10_000, f"{LONGEST_NAME} are permitted"),
    ],
)
def test_bad_words_are_refused(words: str, reason: str, folder: Path) -> None:
    """Words that make no name are refused with the reason, and nothing is written."""
    with pytest.raises(NamingError, match=re.escape(reason)) as caught:
        write_migrations(words, folder=folder)

    assert len(str(caught.value)) < 400
    assert [] == list(folder.iterdir())


def test_number_follows_the_newest(folder: Path, write_migration: WriteMigration) -> None:
    """The next number is the newest one's successor, beyond three digits, too."""
    for number in range(1, 1000):
        write_migration(f"{number:03}_x{number}")

    (file,) = write_migrations("and on", folder=folder)

    assert "1000_and_on" == file.id


def test_several_drafts_are_numbered_in_order(folder: Path, write_migration: WriteMigration) -> None:
    """What can't be one file is several, each loadable, with the suffix that says what it is for."""
    write_migration("001_first")

    files = write_migrations("change", [TABLE, INDEX], folder=folder)

    assert ["002_change", "003_change_indexes"] == [file.id for file in files]
    assert [True, False] == [load(file).transaction for file in files]
    assert files == list_files(folder)[1:]


@pytest.mark.parametrize("taken", ["change", "Change!", "change indexes"])
def test_taken_names_are_refused(taken: str, folder: Path, write_migration: WriteMigration) -> None:
    """A name that an older migration has is refused, for the second file of a proposal, too."""
    write_migration("001_change")
    write_migration("002_change_indexes")

    with pytest.raises(NamingError, match="has that name already"):
        write_migrations(taken, [TABLE, INDEX], folder=folder)

    assert 2 == len(list_files(folder))


def test_numbers_of_two_branches_are_told(folder: Path, write_migration: WriteMigration) -> None:
    """Where two files share a number there is no next one: the contradiction comes first."""
    write_migration("001_mine")
    write_migration("001_theirs")

    with pytest.raises(HistoryError, match="001_mine and 001_theirs share a number"):
        write_migrations("next", folder=folder)


def test_nothing_is_overwritten(folder: Path) -> None:
    """Of many that write the same at once one succeeds, and its file is whole."""
    barrier = threading.Barrier(RIVALS)

    def write(rival: int) -> bool:
        barrier.wait()
        try:
            write_migrations("change", [replace(TABLE, locks=(f"rival {rival}",))], folder=folder)
        except (NamingError, UnwritableError):
            return False
        return True

    with ThreadPoolExecutor(RIVALS) as pool:
        winners = [rival for rival, has_won in enumerate(pool.map(write, range(RIVALS))) if has_won]

    (file,) = list_files(folder)
    assert [f"Locks: rival {winner}" for winner in winners] == re.findall(
        r"^Locks: .*", file.path.read_text(), re.MULTILINE
    )


def test_failed_write_leaves_nothing(folder: Path) -> None:
    """Where the second of two files can't be written, as on a full disk, neither is left."""
    endless = Draft("_removed", True, ("SELECT 1",) * 5_000, ("SELECT 1",), ())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))

    try:
        with pytest.raises(UnwritableError, match="File too large"):
            write_migrations("change", [TABLE, endless], folder=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [] == list(folder.iterdir())


def test_file_has_the_usual_mode(folder: Path) -> None:
    """A file is readable and writable as the umask permits, and never executable."""
    before = os.umask(0o027)
    try:
        (file,) = write_migrations("change", folder=folder)
    finally:
        os.umask(before)

    assert 0o640 == stat.S_IMODE(file.path.stat().st_mode)


def test_missing_folder_is_told(tmp_path: Path) -> None:
    """A folder that isn't there is named, with the reason and what to do."""
    with pytest.raises(UnwritableError, match=r"nowhere.*No such file.*checkout"):
        write_migrations("change", folder=tmp_path / "nowhere")


async def test_template_is_refused_by_the_runner(
    folder: Path, empty_database_settings: DatabaseSettings
) -> None:
    """A template that nobody has filled in stops the runner; it doesn't count as applied."""
    (file,) = write_migrations("change", folder=folder)

    with pytest.raises(BrokenMigrationError, match=r"forwards is not finished.*TODO"):
        await migrate(empty_database_settings, folder=folder)

    text = file.path.read_text()
    file.path.write_text(text.replace(f"{MARK} the SQL that makes", "SELECT 1; --"))
    with pytest.raises(BrokenMigrationError, match=r"backwards is not finished.*TODO"):
        await migrate(empty_database_settings, folder=folder)


def test_template_has_the_header(folder: Path) -> None:
    """What a reviewer asks for stands in the header, to be filled in."""
    (file,) = write_migrations("add nickname to memberships", folder=folder)

    header = ast.get_docstring(ast.parse(file.path.read_text()))

    assert header is not None
    assert "Add nickname to memberships." == header.splitlines()[0]
    assert ["Why", "Locks", "Way back"] == re.findall(r"^([A-Z][a-z ]+): ", header, re.MULTILINE)


async def test_written_files_pass_the_gates(folder: Path) -> None:
    """Template and proposals are formatted, linted and typed as the rest of the code is, as written."""
    long = f"COMMENT ON TABLE t IS '{'its a \\d long story, ' * 12}'"
    drafts = [TABLE, INDEX, Draft("_removed", True, (long,), (long,), ("ACCESS EXCLUSIVE on t, " * 9,))]
    files = [
        *write_migrations('say "hi" (50%)', drafts, folder=folder),
        *write_migrations("empty", folder=folder),
    ]
    paths = [file.path for file in files]
    tools = (["ruff", "format", "--check"], ["ruff", "check"], ["mypy"])
    config = {
        "ruff": f"--config={ROOT / 'pyproject.toml'}",
        "mypy": f"--config-file={ROOT / 'pyproject.toml'}",
    }

    said = [
        await asyncio.to_thread(
            subprocess.run,
            [str(Path(sys.executable).with_name(name)), *rest, config[name], *map(str, paths)],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        for name, *rest in tools
    ]

    assert [0, 0, 0] == [each.returncode for each in said], [each.stdout for each in said]
