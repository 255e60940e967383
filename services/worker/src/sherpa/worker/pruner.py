"""Deletes now and then what has been kept for long enough. Every worker does, and each takes other rows."""

import asyncio

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.events.operations.retention import Rows, prune_step
from sherpa.worker.repetition import Repetition

EVERY_SECONDS = 300.0
# A backlog of months must not take the disk from those who work.
PAUSE_SECONDS = 0.2


class Pruner:
    """Prunes the outbox and the memory of handled events, by the retention of the settings."""

    def __init__(self, database: Database, events: EventsSettings) -> None:
        self._database, self._events = database, events

    async def run(self) -> None:
        """Prune every few minutes, and go on at once while there is more, until cancelled."""
        repetition, deleted = Repetition("pruning"), None
        while True:
            await asyncio.sleep(PAUSE_SECONDS if deleted else EVERY_SECONDS)
            deleted = await repetition.attempt(self.step)

    async def step(self) -> Rows:
        """Delete a chunk of each kind; return how many. Raises what PostgreSQL raises."""
        async with self._database.connection() as connection:
            return await prune_step(connection, self._events)
