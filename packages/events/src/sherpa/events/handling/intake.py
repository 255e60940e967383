"""From entries of a stream to work: what is the handler's, what can't be read, what is not its business."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from sherpa.events.brokers.broker import Fields
from sherpa.events.entry import decode
from sherpa.events.errors import UnreadableEventError
from sherpa.events.event import Payload, Received
from sherpa.events.handling.failures import Parked

# Entries without an id that can be read get one made of their place in the stream: the same each time.
_PLACES: Final = UUID("5d1c8b6e-7f0a-4c55-9b1e-2d4f6a8c0e13")
_LONGEST_TYPE: Final = 100


@dataclass(frozen=True, slots=True)
class Work:
    """An entry to be worked off, and the event in it."""

    entry_id: str
    parked: Parked
    event: Received[Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry in which no event can be read, and why."""

    entry_id: str
    parked: Parked
    error: UnreadableEventError


class Intake:
    """Reads one partition's entries for a handler that takes these types."""

    def __init__(self, takes: Sequence[type[Payload]], partition: int) -> None:
        self._takes = tuple(takes)
        self._types = {payload.event_type for payload in takes}
        self._partition = partition

    def takes(self, fields: Fields) -> bool:
        """Tell whether the entry is the handler's business; one that names no type at all is everybody's."""
        return fields.get("type") in self._types or "type" not in fields

    def read(self, entry_id: str, fields: Fields) -> Work | Unreadable:
        """Return the entry as work."""
        try:
            event = decode(fields, self._takes)
        except UnreadableEventError as error:
            return Unreadable(entry_id, self._parked(entry_id, fields, error), error)
        parked = Parked(event.id, event.aggregate_id, event.payload.event_type, fields)
        return Work(entry_id, parked, event)

    def _parked(self, entry_id: str, fields: Fields, flaw: UnreadableEventError) -> Parked:
        event_id = _uuid(fields, "id") or uuid5(_PLACES, f"{self._partition}/{entry_id}")
        event_type = fields.get("type", "").replace("\0", "")[:_LONGEST_TYPE]
        return Parked(event_id, _uuid(fields, "aggregate_id") or event_id, event_type, fields, flaw)


def _uuid(fields: Mapping[str, str], name: str) -> UUID | None:
    try:
        return UUID(fields[name])
    except (KeyError, ValueError):
        return None
