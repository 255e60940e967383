"""What `docs/migrations.md` shows is true: its commands exist, its example works, its table is complete."""

import re
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.arguments import parser
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.files import VERSIONS, list_files
from sherpa.db.migrations.runner import migrate, revert

PAGE = (Path(__file__).parents[4] / "docs" / "migrations.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(("inv ", "python -m sherpa.db "))]


@pytest.mark.parametrize("command", _commands())
def test_commands_are_understood(command: str) -> None:
    """Each command on the page is one that the parser takes."""
    arguments = command.removeprefix("inv ").removeprefix("python -m sherpa.db ").split()

    parsed = parser().parse_args(arguments)

    assert arguments[0] == parsed.command


def test_every_migration_is_listed() -> None:
    """The page's table names each migration, in order."""
    assert [file.id for file in list_files()] == re.findall(r"^\| `(\d\w+)` \|", PAGE, re.MULTILINE)


async def test_example_works_both_ways(
    folder: Path, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The example migration is applied after the real ones, and its way back undoes it."""
    await migrate(empty_database_settings)
    before = await snapshot(empty_connection)
    for path in VERSIONS.glob("sherpa_*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    (example,) = _blocks("python")
    (folder / "sherpa_006_nickname.py").write_text(example)

    await migrate(empty_database_settings, folder=folder)
    after = await snapshot(empty_connection)
    await revert(empty_database_settings, folder=folder)

    added = "column public.memberships.nickname: #11 character varying(50)"
    assert (f"+ {added}",) == diff(before, after)
    assert () == diff(before, await snapshot(empty_connection))
