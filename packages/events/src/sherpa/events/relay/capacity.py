"""Room in the broker: the relay pauses before a stream or the memory is full; events wait in the outbox.

It looks once a second and counts what it appends in between, so the limit on a stream's length is exact.
"""

from dataclasses import dataclass
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.brokers.broker import Broker

# Going on at the very mark where it stopped, a relay would stop and go with each batch.
RESUME_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full the stream and the memory are, each as a share of its limit; at 1.0 it is full."""

    length: float
    memory: float

    @property
    def most(self) -> float:
        """The share of what is fuller."""
        return max(self.length, self.memory)


class Capacity:
    """How much may be appended to one partition."""

    def __init__(self, broker: Broker, partition: int, settings: EventsSettings) -> None:
        self._broker = broker
        self._partition = partition
        self._most = settings.stream_max_length
        self._memory_share = settings.memory_share
        self._length = 0
        self.is_paused = False

    @property
    def room(self) -> int:
        """Entries that may be appended now; 0 while paused."""
        return 0 if self.is_paused else max(0, self._most - self._length)

    def appended(self, count: int) -> None:
        """Count what was appended since the last look."""
        self._length += count

    def refused(self) -> None:
        """Pause: the broker had no room."""
        self.is_paused = True

    async def look(self) -> Fullness:
        """Trim the stream, look how full it and the memory are, and pause or go on accordingly."""
        await self._broker.trim(self._partition)
        self._length = (await self._broker.state(self._partition)).length
        share = await self._broker.memory_share()
        fullness = Fullness(self._length / self._most, (share or 0.0) / self._memory_share)
        self.is_paused = fullness.most >= (RESUME_SHARE if self.is_paused else 1.0)
        return fullness
