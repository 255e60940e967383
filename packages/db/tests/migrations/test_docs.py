"""What `docs/migrations.md` shows is true: its commands exist, its examples work, its tables are complete."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db import exitcodes
from sherpa.db.arguments import parser
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.failure import _ADVICE
from sherpa.db.migrations.files import VERSIONS, list_files
from sherpa.db.migrations.review.listing import State
from sherpa.db.migrations.runner import migrate, revert

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "migrations.md").read_text(encoding="utf-8")
SOURCE = ROOT / "packages" / "db" / "src" / "sherpa" / "db"

type Start = Callable[..., subprocess.Popen[str]]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def _commands() -> list[str]:
    lines = [line.partition(" #")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(("inv ", "python -m sherpa.db "))]


@pytest.mark.parametrize("command", _commands())
def test_commands_are_understood(command: str) -> None:
    """Each command on the page is one that the parser takes."""
    arguments = shlex.split(command.removeprefix("inv ").removeprefix("python -m sherpa.db "))

    parsed = parser().parse_args(arguments)

    assert arguments[0] == parsed.command


def test_every_migration_is_listed() -> None:
    """The page's table names each migration, in order."""
    assert [file.id for file in list_files()] == re.findall(r"^\| `(\d\w+)` \|", PAGE, re.MULTILINE)


def test_every_exit_code_is_explained() -> None:
    """The page's table has the exit codes that the commands end with, and no other."""
    codes = {value for name, value in vars(exitcodes).items() if name.isupper()}

    assert sorted(codes) == [int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)]


def test_every_state_is_explained() -> None:
    """The page's table has each state that a migration may be in."""
    (table,) = re.findall(r"^\| state \| means \|\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)

    assert list(State.__value__.__args__) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def _symptoms() -> list[str]:
    """Return what the last table quotes: messages, with … for what differs from case to case."""
    (table,) = re.findall(r"^\| you see \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [quote for row in table.splitlines() for quote in re.findall("`([^`]+)`", row.split(" | ")[0])]


@pytest.mark.parametrize("symptom", _symptoms())
def test_symptom_is_one_of_ours(symptom: str) -> None:
    """A message that the page explains is one that the code has."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    # A message may be written on several lines, with names in braces.
    text = re.sub(r"\{[^{}\n]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", code))

    parts = [part.strip() for part in symptom.removeprefix("SQLSTATE ").split("…")]

    assert [] == [part for part in parts if part not in text]


def test_every_advice_is_explained() -> None:
    """Each of the server's errors that we have advice for is in the page's table."""
    assert set(_ADVICE) == {
        symptom.removeprefix("SQLSTATE ") for symptom in _symptoms() if symptom.startswith("SQLSTATE ")
    }


def test_json_is_as_shown(start: Start) -> None:
    """`migrations --json` prints an object of the shape that the page shows."""
    (shown,) = _blocks("json")

    printed, _ = start("migrations", "--json").communicate()

    assert _shape(json.loads(shown)) == _shape(json.loads(printed))


def _shape(document: dict[str, Any]) -> dict[str, list[str]]:
    return {
        name: list(value[0]) if value and isinstance(value, list) else [] for name, value in document.items()
    }


async def test_examples_work(
    folder: Path, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The example is applied after those of its time, its way back undoes it, the next one fills it."""
    for path in VERSIONS.glob("sherpa_00[1-5]_*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("""
        INSERT INTO memberships (id, user_id, tier, status)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'monthly', 'active')
    """)
    before = await snapshot(empty_connection)
    example, backfill = _blocks("python")
    (folder / "sherpa_006_nickname.py").write_text(example)

    await migrate(empty_database_settings, folder=folder)
    after = await snapshot(empty_connection)
    await revert(empty_database_settings, folder=folder)
    reverted = await snapshot(empty_connection)
    (folder / "sherpa_007_fill_nickname.py").write_text(backfill)
    await migrate(empty_database_settings, folder=folder)

    assert ("+ column public.memberships.nickname: #11 text",) == diff(before, after)
    assert () == diff(before, reverted)
    assert "mon" == await empty_connection.fetchval("SELECT nickname FROM memberships")
