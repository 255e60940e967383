"""Fixtures of the migration tests: an empty database, made-up migrations, and the real commands."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret
from sherpa.db.cli import main
from sherpa.db.migrations.session import open_session
from sherpa.devstack.harness.worker import PostgresCluster

TEMPLATE = '''"""Made up for a test."""

from sherpa.db.migrations.migration import Irreversible, Migration

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "made up"

FORWARDS = {forwards!r}

BACKWARDS = {backwards!r}

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS, {options})
'''

type WriteMigration = Callable[..., Path]
type Start = Callable[..., subprocess.Popen[str]]
type RunAside = Callable[..., Awaitable[tuple[int, str, str]]]
type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def empty_connection(empty_database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session on a database that no migration has touched."""
    async with open_session(empty_database_settings) as connection:
        yield connection


@pytest.fixture
async def superuser(
    empty_database_settings: DatabaseSettings, postgres_cluster: PostgresCluster
) -> AsyncIterator[asyncpg.Connection]:
    """Return a superuser's session on the empty database."""
    settings = postgres_cluster.superuser_settings(empty_database_settings.url.database)
    async with open_session(settings) as connection:
        yield connection


@pytest.fixture
async def guest_settings(
    empty_database_settings: DatabaseSettings, superuser: asyncpg.Connection
) -> AsyncIterator[DatabaseSettings]:
    """Return settings of a role that may create tables in `public`, but no extension."""
    role, password = f"guest_{secrets.token_hex(4)}", secrets.token_hex(8)
    await superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    await superuser.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    url = empty_database_settings.url.replace(username=role, password=Secret(password))
    yield replace(empty_database_settings, url=url)
    await superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for made-up migrations."""
    folder = tmp_path / "made up"
    folder.mkdir()
    return folder


@pytest.fixture
def write_migration(folder: Path) -> WriteMigration:
    """Return a function that writes a migration: its ID, both ways (a table unless given), options."""

    def write(migration_id: str, forwards: Any = "", backwards: Any = "", **options: object) -> Path:
        table = f"t{migration_id}"
        text = TEMPLATE.format(
            id=migration_id,
            forwards=forwards or f"CREATE TABLE {table} ()",
            backwards=backwards or f"DROP TABLE {table}",
            options=", ".join(f"{name}={value!r}" for name, value in options.items()),
        )
        path = folder / f"sherpa_{migration_id}.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def environment(empty_database_settings: DatabaseSettings) -> dict[str, str]:
    """Return an environment that points to the empty database and to nothing else of ours."""
    return os.environ | {"DATABASE_URL": empty_database_settings.url.reveal()}


@pytest.fixture
def start_python(environment: dict[str, str], tmp_path: Path) -> Start:
    """Return a function that starts Python code with arguments, in a folder without `.env`."""

    def start(code: str, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


# The commands themselves, but for the folder that they take the migrations from.
RUN_IN_FOLDER = """
import functools, pathlib, sys
from sherpa.db import cli
from sherpa.db.commands import migrate, revert
folder, *arguments = sys.argv[1:]
migrate.migrate = functools.partial(migrate.migrate, folder=pathlib.Path(folder))
revert.revert = functools.partial(revert.revert, folder=pathlib.Path(folder))
sys.exit(cli.main(arguments or ["migrate"]))
"""


@pytest.fixture
def start_folder(start_python: Start, folder: Path) -> Start:
    """Return a function that starts `python -m sherpa.db` on made-up migrations: `migrate` unless told."""
    return partial(start_python, RUN_IN_FOLDER, str(folder))


@pytest.fixture
def start(start_python: Start) -> Start:
    """Return a function that starts `python -m sherpa.db ...`."""
    return partial(start_python, "import runpy; runpy.run_module('sherpa.db', run_name='__main__')")


@pytest.fixture
def run(
    empty_database_settings: DatabaseSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Return a function that runs a command on the empty database: its exit code, output and faults."""
    monkeypatch.setenv("DATABASE_URL", empty_database_settings.url.reveal())
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def run_aside(run: Run) -> RunAside:
    """Return a function as `run`, for tests that have a loop of their own: the command gets another one."""

    async def run_aside(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(run, *arguments)

    return run_aside
