"""The bookmark that each append leaves in the broker: up to which event its data goes, in PostgreSQL's terms.

What the broker has is always a beginning of what it was told, so whatever was published after that event is
lost, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sherpa.events.relay.outbox import created_at


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The event that was appended last, and into how many partitions events were divided then."""

    partitions: int
    event_id: str
    occurred_at: str

    @classmethod
    def at(cls, entry: Mapping[str, str], partitions: int) -> Self:
        """Return the bookmark at an entry."""
        return cls(partitions, entry["id"], entry.get("occurred_at", ""))

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return what a bookmark's text says; None for what is none of ours."""
        try:
            partitions, event_id, occurred_at = (text or "").split(" ")
            return cls(int(partitions), str(UUID(event_id)), occurred_at)
        except ValueError:
            return None

    @property
    def created_at(self) -> datetime:
        """When the event was created."""
        return created_at({"occurred_at": self.occurred_at})

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.partitions} {self.event_id} {self.occurred_at}"
