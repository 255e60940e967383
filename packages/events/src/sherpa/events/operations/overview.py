"""How everything stands at one moment: the outbox, each partition, each handler, the broker, the rates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sherpa.events.operations.presence import Holder


@dataclass(frozen=True, slots=True)
class Group:
    """A handler in one partition. `lag` is None where the broker can't tell; `owner` runs it."""

    partition: int
    lag: int | None
    pending: int
    owner: Holder | None


@dataclass(frozen=True, slots=True)
class HandlerState:
    """A handler over all partitions: entries not delivered and not done, its failed events, its rate."""

    name: str
    groups: Sequence[Group]
    retrying: int
    waiting: int
    dead: int
    handled_per_second: float

    @property
    def lag(self) -> int | None:
        """Entries not delivered yet, None where the broker can't tell for a partition."""
        lags = [group.lag for group in self.groups]
        return None if None in lags else sum(lag or 0 for lag in lags)

    @property
    def pending(self) -> int:
        """Entries delivered and not done yet."""
        return sum(group.pending for group in self.groups)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: events that wait for its relay, the relay's session, and the stream."""

    number: int
    pending: int
    leader: Holder | None
    stream_length: int | None
    stream_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class BrokerState:
    """The broker; with an `error` the rest of it is unknown."""

    error: str | None = None
    memory_share: float | None = None
    layout: int | None = None
    weaknesses: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything together. Counts of what is pending end at 1,000,000; `at` is the database's time."""

    at: datetime
    pending: int
    oldest_pending_seconds: float
    published_per_second: float
    dead_tuples: int
    vacuumed_at: datetime | None
    broker: BrokerState
    partitions: Sequence[Partition]
    handlers: Sequence[HandlerState]
    other_layouts: Sequence[int]
