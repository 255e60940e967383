"""What the broker holds of a partition: so a loss of its data shows, and what may be lost with it is known.

A relay remembers it from look to look, longer than any one of its terms.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sherpa.events.brokers.broker import BEGINNING, PartitionState, position
from sherpa.events.relay.outbox import created_at


@dataclass(slots=True)
class Holdings:
    """Up to which entry the stream has come, and who is done with what.

    What was published before `since` every group is done with; None as long as nobody has looked.
    """

    end: str = BEGINNING
    since: datetime | None = None
    groups: frozenset[str] = field(default_factory=frozenset)

    def are_lost(self, state: PartitionState) -> bool:
        """Tell whether the stream ends before an entry that it had: the broker has lost data."""
        return position(state.last_id) < position(self.end)

    def note(self, state: PartitionState, now: datetime) -> None:
        """Remember a stream that has just been trimmed; `now` is PostgreSQL's time, from before the trimming.

        Whatever follows the oldest entry was appended later than that, so it was published after the event
        in it was created; of an empty stream, all that was published is done with.
        """
        self.end = state.last_id
        self.since = min(now, created_at(state.first.fields or {})) if state.first else now
        self.groups = frozenset(group.name for group in state.groups)
