"""Follows the events that are appended to the streams, without a group: nobody's progress is touched."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sherpa.events.brokers.broker import Broker, Fields

_COUNT: Final = 500
_BEGINNING: Final = "0-0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are shown: of these types (none: all), of this aggregate."""

    types: frozenset[str] = frozenset()
    aggregate_id: UUID | None = None

    def lets_through(self, fields: Fields) -> bool:
        """Tell whether an entry is shown."""
        is_of_type = not self.types or fields.get("type") in self.types
        is_of_aggregate = self.aggregate_id is None or fields.get("aggregate_id") == str(self.aggregate_id)
        return is_of_type and is_of_aggregate


@dataclass(slots=True)
class Tail:
    """Where one follower is in each partition; what was there before `begin` is not shown."""

    broker: Broker
    partitions: Iterable[int]
    wanted: Filter
    _after: dict[int, str] = field(default_factory=dict)

    async def begin(self) -> None:
        """Stand at the end of every stream. Raises BrokerError."""
        for partition in self.partitions:
            newest = await self.broker.peek(partition, after=None, count=1)
            self._after[partition] = newest[0].id if newest else _BEGINNING

    async def step(self) -> AsyncIterator[Mapping[str, str]]:
        """Yield what has come since, each with partition and entry id, in each partition's order."""
        for partition in self.partitions:
            while entries := await self.broker.peek(partition, after=self._after[partition], count=_COUNT):
                for entry in entries:
                    self._after[partition] = entry.id
                    if entry.fields is not None and self.wanted.lets_through(entry.fields):
                        yield {"partition": str(partition), "entry": entry.id, **entry.fields}
