"""Schemas to be compared, and what somebody does with a proposal between its writing and its use."""

from collections.abc import Iterable

import asyncpg

from sherpa.db.catalogue import Snapshot, snapshot
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.unfinished import MARK

HOME = "public"


async def read_declared(connection: asyncpg.Connection, declared: str) -> Snapshot:
    """Return the schema that the SQL makes."""
    async with scratch_schema(connection) as scratch:
        await connection.execute(declared)
        return await scratch.snapshot()


async def read_actual(connection: asyncpg.Connection) -> Snapshot:
    """Return the schema that is there, without the history."""
    return (await snapshot(connection)).within(HOME).without({f"{HOME}.migration"})


def decide(files: Iterable[MigrationFile]) -> None:
    """Delete the lines that ask for a decision, as somebody who takes the whole proposal would."""
    for file in files:
        lines = file.path.read_text().splitlines(keepends=True)
        file.path.write_text("".join(line for line in lines if not line.startswith(MARK)))
