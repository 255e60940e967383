"""Running something again when a lock was not to be had in time, rather than keep a queue behind us."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from sherpa.db.migrations.events import Report, Retrying
from sherpa.db.migrations.execution.blocking import PATIENCE_SECONDS, Watcher
from sherpa.db.migrations.pauses import pauses

# Whoever asked in vain for a lock, or was chosen to end a deadlock, has been rolled back and may try again.
_IN_THE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often to try for a lock, and how long to let others work in between (twice as long each time).

    With the usual lock_timeout of 5 s all five attempts take 35 to 45 s.
    """

    attempts: int = 5
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 15.0


class Insistence:
    """Runs one step of a migration, again and again while others hold its locks, and tells who does."""

    def __init__(self, watcher: Watcher, retries: Retries, report: Report) -> None:
        self._watcher = watcher
        self._retries = retries
        self._report = report

    async def run(self, step: Callable[[], Awaitable[None]], migration_id: str, lock_seconds: float) -> None:
        """Run the step until it is done; raise its last error, with a note of who was in the way."""
        # Soon enough to see who is in the way before lock_timeout ends the wait; 0 is no limit.
        every = min(PATIENCE_SECONDS, lock_seconds / 4) or PATIENCE_SECONDS
        attempts = self._retries.attempts
        spread = pauses(self._retries.first_pause_seconds, self._retries.longest_pause_seconds)
        for attempt, pause in enumerate(spread, 1):
            try:
                async with self._watcher.watching(migration_id, every):
                    return await step()
            except _IN_THE_WAY as error:
                if attempt >= attempts:
                    self._add_notes(error)
                    raise
            self._report(Retrying(migration_id, attempt, attempts, pause))
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    def _add_notes(self, error: Exception) -> None:
        if self._watcher.blocked:
            error.add_note(f"waited for {self._watcher.blocked}")
        if self._retries.attempts > 1:
            error.add_note(f"tried {self._retries.attempts} times")
