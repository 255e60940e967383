"""Writes what leads from one schema to another, as `inv migration` would, in a folder of its own."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import Snapshot, snapshot
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.proposals.new import write_migrations
from sherpa.db.migrations.proposals.plan import propose
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.unfinished import MARK

HOME = "public"

type Write = Callable[[str, str], Awaitable[tuple[MigrationFile, ...]]]


@pytest.fixture
def write(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, folder: Path
) -> Write:
    """Return a function that migrates to what is there, and writes what leads to what is declared."""

    async def write(there: str, declared: str) -> tuple[MigrationFile, ...]:
        (folder / "sherpa_001_there.py").write_text(
            "from sherpa.db.migrations.migration import Irreversible, Migration\n"
            "ID = '001_there'\n"
            f"forwards = Migration(ID, '', forwards={there!r}, backwards=Irreversible('x'))\n"
        )
        await migrate(empty_database_settings, folder=folder)
        drafts = propose(
            await read_declared(empty_connection, declared), await read_actual(empty_connection), HOME
        )
        return write_migrations("change", drafts, folder=folder)

    return write


async def read_declared(connection: asyncpg.Connection, declared: str) -> Snapshot:
    """Return the schema that the SQL makes."""
    async with scratch_schema(connection) as scratch:
        await connection.execute(declared)
        return await scratch.snapshot()


async def read_actual(connection: asyncpg.Connection) -> Snapshot:
    """Return the schema that is there, without the history."""
    return (await snapshot(connection)).within(HOME).without({f"{HOME}.migration"})


def decide(files: tuple[MigrationFile, ...]) -> None:
    """Delete the lines that ask for a decision, as somebody who takes the whole proposal would."""
    for file in files:
        file.path.write_text("".join(_without_marks(file.path)))


def _without_marks(path: Path) -> Iterator[str]:
    lines = path.read_text().splitlines(keepends=True)
    return (line for line in lines if not line.startswith(MARK))
