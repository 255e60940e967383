"""What a handler declares: its stable name, the events it takes, its kind, and what a failure means."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sherpa.db.transaction import Transaction
from sherpa.events.event import Payload, Received

DEFAULT_CONCURRENCY: Final = 4

type Handle = Callable[[Transaction, Received[Any]], Awaitable[None]]
type HandleSet = Callable[[Transaction, Sequence[Received[Any]]], Awaitable[None]]


class Kind(StrEnum):
    """How events share transactions."""

    EACH = "each"  # one event, one transaction
    BATCH = "batch"  # called for each event, many of them in one transaction; redone one by one if it fails
    SET = "set"  # called once with many events; redone one by one if it fails


class OnFailure(StrEnum):
    """What later events of an aggregate do while an earlier one has failed: wait for it, or follow."""

    BLOCK = "block"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Backoff:
    """The longest wait before attempt n + 1: `first_seconds * factor ** (n - 1)`; jitter makes it shorter."""

    first_seconds: float = 0.5
    factor: float = 2.0
    most_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One handler. `name` is its group and its key in processed_events: never changed, at most 100 letters.

    `takes` are the payload classes; an event of another type is none of its business. `attempts` counts the
    first one. `timeout_seconds` is for one call. `concurrency` (EACH only) is how many events of different
    aggregates run at the same time, each on a connection of its own.
    """

    name: str
    takes: tuple[type[Payload], ...]
    handle: Handle | HandleSet
    kind: Kind = Kind.EACH
    on_failure: OnFailure = OnFailure.BLOCK
    attempts: int = 8
    backoff: Backoff = field(default_factory=Backoff)
    timeout_seconds: float = 30.0
    batch_size: int = 100
    concurrency: int = DEFAULT_CONCURRENCY
