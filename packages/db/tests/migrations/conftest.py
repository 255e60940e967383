"""Fixtures of the migration tests: an empty database, folders of made-up migrations, and the real commands."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.events import ignore
from sherpa.db.migrations.session import open_session

TEMPLATE = '''"""Made up for a test."""

from sherpa.db.migrations.sql import sql_migration

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "made up"


async def forwards():
    return sql_migration(ID, DESCRIPTION, forwards="""{forwards}""", backwards="""{backwards}""")
'''

type WriteMigration = Callable[..., Path]
type Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
async def empty_connection(empty_database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session on a database that no migration has touched."""
    async with open_session(empty_database_settings, ignore) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for made-up migrations."""
    folder = tmp_path / "made up"
    folder.mkdir()
    return folder


@pytest.fixture
def write_migration(folder: Path) -> WriteMigration:
    """Return a function that writes a migration: an ID, and the SQL both ways (a table of that name unless given)."""

    def write(migration_id: str, forwards: str = "", backwards: str = "") -> Path:
        table = f"t{migration_id}"
        text = TEMPLATE.format(
            id=migration_id,
            forwards=forwards or f"CREATE TABLE {table} ()",
            backwards=backwards or f"DROP TABLE {table}",
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
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """Return a function that starts `python -m sherpa.db ...` in a folder without `.env`."""

    def run(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sherpa.db", *arguments],
            env=environment,
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run
