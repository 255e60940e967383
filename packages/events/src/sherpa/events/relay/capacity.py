"""Room in the broker: the relay pauses before a stream or the memory is full; events wait in the outbox.

It looks once a second and counts what it appends in between, so the limit on a stream's length is exact.
"""

import time
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.brokers.broker import Broker, PartitionState

# Going on at the very mark where it stopped, a relay would stop and go with each batch.
RESUME_SHARE: Final = 0.9
LOOK_SECONDS: Final = 1.0
# What this many entries take of the memory is little, and a look costs a hundredth of their append.
LOOK_ENTRIES: Final = 5_000


class Capacity:
    """How much may be appended to one partition."""

    def __init__(self, broker: Broker, partition: int, settings: EventsSettings) -> None:
        self._broker = broker
        self._partition = partition
        self._most = settings.stream_max_length
        self._memory_share = settings.memory_share
        self._length = 0
        self._appended = 0
        self._look_due = 0.0
        self.is_paused = False

    @property
    def is_look_due(self) -> bool:
        """Whether it is time to look again, or there is no room as far as is known."""
        is_old = self._appended >= LOOK_ENTRIES or time.monotonic() >= self._look_due
        return is_old or not self.room

    @property
    def room(self) -> int:
        """Entries that may be appended now; 0 while paused."""
        return 0 if self.is_paused else max(0, self._most - self._length)

    def appended(self, count: int) -> None:
        """Count what was appended since the last look."""
        self._length += count
        self._appended += count

    def refused(self) -> None:
        """Pause: the broker had no room."""
        self.is_paused = True

    def forget(self) -> None:
        """Look again before anything is appended: what is known may be of another server."""
        self._look_due = 0.0

    async def look(self) -> PartitionState:
        """Trim the stream, look how full it and the memory are, and pause or go on accordingly."""
        await self._broker.trim(self._partition)
        self._appended = 0
        self._look_due = time.monotonic() + LOOK_SECONDS
        state = await self._broker.state(self._partition)
        self._length = state.length
        share = await self._broker.memory_share()
        fullness = max(self._length / self._most, (share or 0.0) / self._memory_share)
        self.is_paused = fullness >= (RESUME_SHARE if self.is_paused else 1.0)
        return state
