"""Events under which the database session ended: an accident at first, the event's own doing if it goes on.

A server that restarts, or a connection that is cut, is no attempt of the event's. But an event which ends its
session each time, as one that crashes the server's process, would otherwise be run for ever.
"""

from typing import Final
from uuid import UUID

from sherpa.events.handling.errors import HandlerTimeoutError, SessionLostError

ACCIDENTS: Final = 3
"""So many times a session may end under the same event before it counts as a failed attempt."""


class Losses:
    """Which events sessions were lost under, in this process, and how often."""

    def __init__(self) -> None:
        self._losses: dict[UUID, tuple[int, Exception]] = {}

    def note(self, event_id: UUID, lost: SessionLostError) -> None:
        """Remember that the session ended while this event ran."""
        error = lost.__cause__ if isinstance(lost.__cause__, Exception) else lost
        # The handler had its time, whatever became of the session that its statement was stopped in.
        is_certain = isinstance(error, HandlerTimeoutError)
        times, _ = self._losses.get(event_id, (0, error))
        self._losses[event_id] = (ACCIDENTS if is_certain else times + 1, error)

    def check(self, event_id: UUID) -> None:
        """Raise what ended the session the last time, where it happened too often; then it has been told."""
        times, error = self._losses.get(event_id, (0, None))
        if error is not None and times >= ACCIDENTS:
            self._losses[event_id] = (ACCIDENTS - 1, error)
            raise error

    def forget(self, event_id: UUID) -> None:
        """The event is done."""
        self._losses.pop(event_id, None)
