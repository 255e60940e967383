"""A run's turn at a database: nobody else is at work, and what is to be done is checked and loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from sherpa.db.migrations.checkpoints import has_checkpoints, require_one_way
from sherpa.db.migrations.events import Report
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.loading import load_with_source
from sherpa.db.migrations.lock import acquire_lock
from sherpa.db.migrations.migration import Loaded
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.status import Status
from sherpa.db.migrations.targets import choose_applied, choose_pending, complete_forwards


@dataclass(frozen=True, slots=True)
class Turn:
    """One run's turn; the lock that it takes is freed with the connection."""

    connection: asyncpg.Connection
    files: Sequence[MigrationFile]
    lock_wait_seconds: float
    report: Report

    async def forwards(
        self, to: str | None, *, allow_out_of_order: bool = False
    ) -> tuple[Status, tuple[Loaded, ...]]:
        """Return the status and what is to be applied, in order; no lock is taken when that is nothing."""
        status = await self._read_agreed(allow_out_of_order=allow_out_of_order)
        target = complete_forwards(to, status)
        if not choose_pending(status, target) and not await has_checkpoints(self.connection):
            return status, ()
        await acquire_lock(self.connection, self.lock_wait_seconds, self.report)
        # Once more: whoever had the lock before us may have applied them all, or was half through.
        await require_one_way(self.connection, "forwards")
        status = await self._read_agreed(allow_out_of_order=allow_out_of_order)
        return status, self._load(choose_pending(status, target))

    async def backwards(self, *, steps: int, to: str | None, everything: bool) -> tuple[Loaded, ...]:
        """Return what is to be reverted, newest first."""
        await acquire_lock(self.connection, self.lock_wait_seconds, self.report)
        await require_one_way(self.connection, "backwards")
        status = await self._read_agreed()
        return self._load(choose_applied(status, steps=steps, to=to, everything=everything))

    async def _read_agreed(self, *, allow_out_of_order: bool = False) -> Status:
        examination = await examine(self.connection, self.files)
        return examination.require_agreement(allow_out_of_order=allow_out_of_order)

    def _load(self, chosen: Sequence[str]) -> tuple[Loaded, ...]:
        # All are read before the first runs: a broken one leaves nothing half-done.
        by_id = {file.id: file for file in self.files}
        return tuple(load_with_source(by_id[migration_id]) for migration_id in chosen)
