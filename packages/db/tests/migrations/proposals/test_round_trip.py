"""What is proposed leads from one schema to the other and back, past every gate, for each kind of change."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from packages.db.tests.migrations.proposals.cases import CASES, Case
from packages.db.tests.migrations.proposals.conftest import HOME, decide, read_actual, read_declared
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.comparison.drift import compare
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.proposals.new import write_migrations
from sherpa.db.migrations.proposals.plan import propose
from sherpa.db.migrations.runner import migrate, revert
from sherpa.devstack.sqllint.findings import lint
from sherpa.devstack.sqllint.scripts import read_scripts

ROOT = Path(__file__).parents[5]
RUFF = [str(Path(sys.executable).with_name("ruff")), f"--config={ROOT / 'pyproject.toml'}"]
EACH = {name: case for cases in CASES.values() for name, case in cases.items()}


@pytest.mark.parametrize("case", EACH.values(), ids=EACH)
async def test_leads_there_and_back(
    case: Case,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """The files make the schema as declared, each takes back exactly what it did; then none is proposed."""
    write_migration("001_there", case.there)
    await migrate(empty_database_settings, folder=folder)
    declared = await read_declared(empty_connection, case.declared)
    states = [await read_actual(empty_connection)]
    files = write_migrations("change", propose(declared, states[0], HOME), folder=folder)
    decide(files)

    for file in files:
        await migrate(empty_database_settings, folder=folder, to=file.id)
        states.append(await read_actual(empty_connection))
    *earlier, reached = states
    for state in reversed(earlier):
        await revert(empty_database_settings, folder=folder)
        assert () == compare(state, await read_actual(empty_connection), home=HOME)
    await migrate(empty_database_settings, folder=folder)

    assert () == compare(declared, reached, home=HOME)
    assert () == compare(declared, await read_actual(empty_connection), home=HOME)
    assert () == propose(declared, reached, HOME)
    assert case.files == tuple(file.id.partition("_")[2] for file in files)


@pytest.mark.parametrize("cases", CASES.values(), ids=CASES)
async def test_passes_every_gate(
    cases: Mapping[str, Case], folder: Path, empty_connection: asyncpg.Connection
) -> None:
    """Files are formatted and linted as written; decided, Squawk needs each exception, and no other."""
    files: list[MigrationFile] = []
    for name, case in cases.items():
        there = await read_declared(empty_connection, case.there)
        declared = await read_declared(empty_connection, case.declared)
        (folder / name).mkdir()
        files += write_migrations("change", propose(declared, there, HOME), folder=folder / name)

    ruff = [
        await asyncio.to_thread(
            subprocess.run, [*RUFF, *command, str(folder)], capture_output=True, text=True
        )
        for command in (["format", "--diff", "--quiet"], ["check", "--quiet"])
    ]
    decide(files)
    scripts = [script for file in files for script in read_scripts(file)]
    squawk = [finding for script in scripts for finding in lint(script, ROOT / ".squawk.toml")]

    assert [(0, ""), (0, "")] == [(each.returncode, each.stdout) for each in ruff]
    assert [] == squawk
