"""The bookmark that each append leaves in the broker: up to which event its data goes, in PostgreSQL's terms.

What the broker has is always a beginning of what it was told. So if the stream ends where the bookmark was
left, whatever was published after that event is lost, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sherpa.events.relay.outbox import created_at


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The event that was appended last, as which entry, and into how many partitions events were divided."""

    partitions: int
    event_id: str
    occurred_at: str
    entry_id: str

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return what a bookmark's text says; None for what is none of ours."""
        try:
            partitions, event_id, occurred_at, entry_id = (text or "").split(" ")
            return cls(int(partitions), str(UUID(event_id)), occurred_at, entry_id)
        except ValueError:
            return None

    @property
    def created_at(self) -> datetime:
        """When the event was created."""
        return created_at({"occurred_at": self.occurred_at})


def bookmark_at(event: Mapping[str, str], partitions: int) -> str:
    """Return the bookmark to leave behind an event; the broker adds which entry that was."""
    return f"{partitions} {event['id']} {event.get('occurred_at', '')}"
