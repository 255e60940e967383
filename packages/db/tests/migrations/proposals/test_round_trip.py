"""What is proposed leads from one schema to the other and back, past every gate, for each kind of change."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.proposals.cases import CASES, Case
from packages.db.tests.migrations.proposals.conftest import HOME, Write, decide, read_actual, read_declared
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.comparison.drift import compare
from sherpa.db.migrations.proposals.plan import propose
from sherpa.db.migrations.runner import migrate, revert
from sherpa.devstack.sqllint.findings import lint
from sherpa.devstack.sqllint.scripts import read_scripts

ROOT = Path(__file__).parents[5]
RUFF = [str(Path(sys.executable).with_name("ruff")), f"--config={ROOT / 'pyproject.toml'}"]

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
async def test_leads_there_and_back(
    case: Case,
    write: Write,
    folder: Path,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """The files make the schema as declared, each takes back exactly what it did; then none is proposed."""
    files = await write(case.there, case.declared)
    decide(files)
    declared = await read_declared(empty_connection, case.declared)
    before = []

    for file in files:
        before.append(await read_actual(empty_connection))
        await migrate(empty_database_settings, folder=folder, to=file.id)
    reached = await read_actual(empty_connection)
    for _ in files:
        await revert(empty_database_settings, folder=folder)
        assert () == compare(before.pop(), await read_actual(empty_connection), home=HOME)
    await migrate(empty_database_settings, folder=folder)

    assert () == compare(declared, reached, home=HOME)
    assert () == compare(declared, await read_actual(empty_connection), home=HOME)
    assert () == propose(declared, reached, HOME)
    assert case.files == tuple(file.id.partition("_")[2] for file in files)


@each_case
async def test_passes_every_gate(case: Case, write: Write) -> None:
    """Files are formatted and linted as written; decided, Squawk needs each exception, and no other."""
    files = await write(case.there, case.declared)
    paths = [str(file.path) for file in files]

    ruff = [
        await asyncio.to_thread(subprocess.run, [*RUFF, *command, *paths], capture_output=True, text=True)
        for command in (["format", "--diff", "--quiet"], ["check", "--quiet"])
    ]
    decide(files)
    scripts = [script for file in files for script in read_scripts(file)]
    squawk = [finding for script in scripts for finding in lint(script, ROOT / ".squawk.toml")]

    assert [(0, ""), (0, "")] == [(each.returncode, each.stdout) for each in ruff]
    assert [] == squawk
