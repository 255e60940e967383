"""The schema as the table classes declare it, in the words of the server that is asked."""

import asyncpg

from sherpa.db.migrations.comparison.drift import Difference, compare
from sherpa.db.migrations.comparison.scratch import Scratch, scratch_schema
from sherpa.db.tables import TABLES
from sherpa.db.tables.schema import statements


async def make_declared(scratch: Scratch) -> None:
    """Make the tables, as their classes declare them, in a scratch schema."""
    for table in TABLES:
        for statement in statements(table):
            await scratch.connection.execute(statement)


async def find_drift(connection: asyncpg.Connection) -> tuple[Difference, ...]:
    """Return where the current schema differs from the tables as declared; leaves nothing, blocks nobody.

    Raises `ScratchError`, as for a role that may not create a schema.
    """
    async with scratch_schema(connection) as scratch:
        await make_declared(scratch)
        declared = await scratch.snapshot()
        found = await scratch.actual()
    return compare(declared, found, home=scratch.home)
