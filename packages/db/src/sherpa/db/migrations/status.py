"""Which migrations a database has, and which are pending: one query, nothing written, no ORM loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import asyncpg

from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import MigrationFile, list_files
from sherpa.db.migrations.history import read_history


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that the database has: `at` is in UTC, `is_known` whether this code has its file."""

    id: str
    at: datetime
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """A database's schema against the code's migrations, both in the order of their IDs."""

    applied: tuple[Applied, ...]
    pending: tuple[str, ...]

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


async def read_status(connection: asyncpg.Connection, files: Sequence[MigrationFile] | None = None) -> Status:
    """Compare the database's history with the migration files (the code's own unless given).

    Needs no right but SELECT on the table `migration`. Call it outside a transaction: where that table is
    missing, the query fails, and with it the transaction would.
    """
    files = list_files() if files is None else files
    known = {file.id for file in files}
    applied = tuple(Applied(name, at, name in known) for name, at in await read_history(connection))
    done = {migration.id for migration in applied}
    return Status(applied, tuple(file.id for file in files if file.id not in done))


def check_history(status: Status) -> None:
    """Raise `HistoryError` unless the applied migrations are the first of those that the code knows."""
    for earlier, later in pairwise(status.applied_ids):
        if earlier == later:
            raise HistoryError(
                f"{earlier} is recorded twice in the table `migration`. Delete the newer of the two rows."
            )
    if unknown := [migration.id for migration in status.applied if not migration.is_known]:
        raise HistoryError(
            f"The database has {', '.join(unknown)}, which this code does not know. "
            f"Is the code older than the database? Run this command from the newest code."
        )
    if late := [
        migration_id for migration_id in status.pending if migration_id < max(status.applied_ids, default="")
    ]:
        raise HistoryError(
            f"{', '.join(late)} came late: {status.applied_ids[-1]} is already applied. "
            f"Give the late one the next free number, in its file's name and in its ID."
        )
