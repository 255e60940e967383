"""Which migrations a database has, and which are pending: one query, nothing written, no ORM loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from sherpa.db.migrations.files import MigrationFile, list_files
from sherpa.db.migrations.history import Record, read_history


@dataclass(frozen=True, slots=True)
class Status:
    """A database's schema against the code's migrations, in the order of their IDs.

    `missing` are the applied ones that this code has no file of.
    """

    applied: tuple[Record, ...]
    pending: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def at_head(self) -> bool:
        """Whether all that the code knows is applied; a database ahead of the code is at its head, too."""
        return not self.pending

    @property
    def applied_ids(self) -> tuple[str, ...]:
        """The applied migrations' IDs, oldest first."""
        return tuple(migration.id for migration in self.applied)

    @property
    def known_ids(self) -> tuple[str, ...]:
        """Every ID that the database or the code knows, oldest first."""
        return tuple(sorted({*self.applied_ids, *self.pending}))

    @property
    def late(self) -> tuple[str, ...]:
        """The pending migrations that are older than the newest applied one."""
        newest = max(self.applied_ids, default="")
        return tuple(migration_id for migration_id in self.pending if migration_id < newest)


async def read_status(connection: asyncpg.Connection, files: Sequence[MigrationFile] | None = None) -> Status:
    """Compare the database's history with the migration files (the code's own unless given).

    Says nothing of contradictions: an API that is serving goes on, whatever became of a file. Needs no right
    but SELECT on the table `migration`. Call it outside a transaction: where that table is missing, the query
    fails, and with it the transaction would.
    """
    files = list_files() if files is None else files
    known = {file.id for file in files}
    applied = await read_history(connection)
    done = {migration.id for migration in applied}
    return Status(
        applied,
        pending=tuple(file.id for file in files if file.id not in done),
        missing=tuple(migration.id for migration in applied if migration.id not in known),
    )
