"""Data migrations: one statement over a whole table, in small batches between which the application works.

Each batch and the note of how far it came are one transaction: killed at any instant, no row is done twice.
"""

import asyncio
import math
import re
import time
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from sherpa.db.migrations.batches.contention import count_waiting, find_oldest
from sherpa.db.migrations.batches.keys import Key, Span, find_key
from sherpa.db.migrations.batches.pace import Pace
from sherpa.db.migrations.checkpoints import Checkpoint, Checkpoints
from sherpa.db.migrations.errors import BrokenMigrationError, HistoryError, StuckError
from sherpa.db.migrations.events import Blocked, Blocker, Progress
from sherpa.db.migrations.migration import Run
from sherpa.db.migrations.sqltext import normalise

# Somebody else was in the way; the batch was rolled back, and may well succeed the next time.
_CONFLICTS: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


@dataclass(frozen=True, slots=True)
class Batches:
    """Run `statement` over the rows of `table`, a range of `key` at a time: BETWEEN $1 AND $2.

    For either way of a migration with `transaction=False`. $1 and $2 are a batch's first and last key.
    `table` and `key` are written as in SQL; `key` is NOT NULL, begins an index, and never changes. Each row
    that is there at the start is done exactly once, so the statement need not be one that may run twice.

    The first batch has `rows` rows, the next ones as many as take `batch_seconds`; `duty` is the share of the
    time that is worked. A batch waits for a lock no longer than `lock_timeout_seconds` (keep it below the
    server's deadlock_timeout, and in a deadlock it is the migration that gives up, not the application); then
    it is tried again, smaller, until none has succeeded for `patience_seconds`.
    """

    table: str
    key: str
    statement: str
    rows: int = 1000
    batch_seconds: float = 0.2
    duty: float = 0.5
    lock_timeout_seconds: float = 0.2
    patience_seconds: float = 300.0

    def __post_init__(self) -> None:
        if not all(re.search(rf"\${number}(?!\d)", self.statement) for number in (1, 2)):
            raise ValueError("the statement of Batches must keep to its range: … BETWEEN $1 AND $2")
        times = (self.batch_seconds, self.lock_timeout_seconds, self.patience_seconds)
        if self.rows < 1 or not 0 < self.duty <= 1 or not all(0 < each < math.inf for each in times):
            raise ValueError("Batches needs rows >= 1, a duty above 0 and up to 1, and times above 0")

    def __str__(self) -> str:
        return (
            f"for {self.table}, from one {self.key} ($1) to another ($2), about {self.rows} rows at a time:"
        )

    async def __call__(self, run: Run) -> None:
        """Go on where an earlier run ended, to the end; report a `Progress` after each batch."""
        if run.connection.is_in_transaction():
            raise BrokenMigrationError(
                f"{run.migration_id}: Batches needs transaction=False: each batch is a transaction."
            )
        key = await find_key(run.connection, self.table, self.key)
        checkpoints = Checkpoints(run.migration_id, run.direction)
        async with run.connection.transaction():
            start = await self._find_start(run, checkpoints, key)
        if start is not None:
            await _Walk(self, run, key, checkpoints, start).go()

    async def _find_start(self, run: Run, checkpoints: Checkpoints, key: Key) -> Checkpoint | None:
        """Return where an earlier run ended, or else set down a new start; None for a table without rows."""
        former = await checkpoints.find(run.connection)
        if former is not None and not former.is_at_start:
            self._require_same(run, former.statement)
            return former
        end = await key.last(run.connection)
        if end is None:
            return None
        return await checkpoints.begin(run.connection, self.statement, await key.count(run.connection), end)

    def _require_same(self, run: Run, former: str) -> None:
        # A run that went on would leave rows of two kinds, and one that began anew might do rows twice.
        if normalise(former) != normalise(self.statement):
            raise HistoryError(
                f"{run.migration_id} is half done {run.direction}, with another statement:\n"
                f"{former.strip()}\n"
                f"Put that one back and run the command again: it goes on where it was. Or, when the new one "
                f"may run on every row, delete its row from the table migration_progress: it begins anew."
            )


class _Walk:
    """One run from a checkpoint to the end."""

    def __init__(
        self, batches: Batches, run: Run, key: Key, checkpoints: Checkpoints, start: Checkpoint
    ) -> None:
        self._batches = batches
        self._run = run
        self._key = key
        self._checkpoints = checkpoints
        self._start = self._at = start
        self._started = self._progressed = time.monotonic()
        self._pace = Pace(batches.rows, batches.batch_seconds, batches.duty)
        self._told: Blocker | None = None

    async def go(self) -> None:
        while not self._at.is_at_end:
            rest = await self._step()
            if not self._at.is_at_end:
                await asyncio.sleep(rest)

    async def _step(self) -> float:
        """Do a batch, or fail to have its locks; return how long to rest, in seconds."""
        began = time.monotonic()
        try:
            waiting = await self._do_batch()
        except _CONFLICTS as error:
            await self._tell_blocker(error)
            return self._pace.after_conflict()
        self._progressed = time.monotonic()
        self._tell_progress()
        return self._pace.after_batch(self._progressed - began, waiting)

    async def _do_batch(self) -> int:
        """Do the next rows and set it down, or nothing at all; return how many sessions it made wait."""
        connection = self._run.connection
        async with connection.transaction():
            await connection.execute(
                f"SET LOCAL lock_timeout = {math.ceil(self._batches.lock_timeout_seconds * 1000)};"
                # A plan that is made for any two keys may read the whole table for these two.
                "SET LOCAL plan_cache_mode = force_custom_plan"
            )
            at = await self._checkpoints.read(connection)
            span = await self._key.span(connection, at.last, at.end, self._pace.rows)
            end, rows = at.end, 0  # where all that was left has been deleted meanwhile
            if span is not None:
                await self._execute(span)
                end, rows = span.end, span.rows
            await self._checkpoints.move(connection, end, rows)
            waiting = await count_waiting(connection)
        self._at = replace(at, done=at.done + rows, last=end)
        return waiting

    async def _execute(self, span: Span) -> None:
        try:
            await self._run.connection.execute(self._batches.statement, span.first, span.last)
        except asyncpg.PostgresError as error:
            error.add_note(f"in the batch with {self._batches.key} from {span.first} to {span.last}")
            error.add_note(self._describe())
            raise

    def _tell_progress(self) -> None:
        at = self._at
        speed = (at.done - self._start.done) / max(self._progressed - self._started, 1e-6)
        self._run.report(Progress(self._run.migration_id, at.done, max(at.done, at.total), speed))

    async def _tell_blocker(self, error: asyncpg.PostgresError) -> None:
        table, patience = self._key.table, self._batches.patience_seconds
        blocker = await find_oldest(self._run.connection, table)
        if blocker is not None and blocker != self._told:
            self._told = blocker
            self._run.report(Blocked(self._run.migration_id, f"rows of {table}", (blocker,)))
        if time.monotonic() - self._progressed > patience:
            raise StuckError(
                f"{self._run.migration_id} could not lock its rows for {patience:g} s ({error.args[0]}; "
                f"at work on {table} for longest: {blocker or 'nobody now'}). {self._describe()}: run the "
                f"command again, at a quieter time."
            ) from error

    def _describe(self) -> str:
        return (
            f"{self._at.done} of about {self._at.total} rows are done and stay so; the next run goes on there"
        )
