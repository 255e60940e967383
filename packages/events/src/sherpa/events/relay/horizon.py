"""From which `created_at` on the outbox must be read, so that nothing is overlooked and little is read twice.

An event may become visible late: its transaction was open while younger events were published. A cursor would
lose it or let it be overtaken; so a bound holds as long as the transactions that were open then still are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
"""Before every event; PostgreSQL's '-infinity'."""

# A transaction looks at the clock before it gets its number, and a large INSERT takes a while in between: an
# event may be so much older than its transaction's number.
MARGIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at the server showed: its clock, and the numbers of the open transactions."""

    at: datetime
    open_numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Read from `recent` on, or from the earliest `since` whose transaction is open no longer."""

    recent: datetime = BEGINNING
    numbers: Sequence[int] = ()
    since: Sequence[datetime] = ()


class Horizon:
    """The bounds of the next pass over the outbox.

    The order is: `observe` a sample, read with the bounds that are in force, then `passed`, which puts into
    force what the sample permits. So whatever ended before the sample has been read under the older bounds.
    """

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._since: dict[int, datetime] = {}
        self._observed = Bounds()
        self.restart()

    def restart(self) -> None:
        """Forget what was read: the next pass begins at the beginning."""
        self._safe = Bounds()
        self._reached: datetime | None = BEGINNING

    @property
    def bounds(self) -> Bounds:
        """From where the next pass must read."""
        if self._reached is None or self._reached >= self._safe.recent:
            return self._safe
        return Bounds(self._reached, self._safe.numbers, self._safe.since)

    def observe(self, sample: Sample) -> None:
        """Note a sample; it changes the bounds after the next pass."""
        before = self._last.at - MARGIN if self._last else BEGINNING
        self._since = {number: self._since.get(number, before) for number in sample.open_numbers}
        # Who is open now and was not at the last sample began after it, and can't be older than `before`.
        late = {number: since for number, since in self._since.items() if since < before}
        self._observed = Bounds(before, tuple(late), tuple(late.values()))
        self._last = sample

    def passed(self, reached: datetime | None) -> None:
        """Note that all events were read: up to `reached`, or all that there are (None)."""
        self._safe = self._observed
        self._reached = reached
