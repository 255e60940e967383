"""What each contender of benchmarks/events.py is: how it writes its tables, publishes, relays and handles."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID, uuid5

RELAY, TWO_RELAYS, EACH, BATCH, SET = "relay", "two relays", "each", "batch", "set"
HANDLING = (EACH, BATCH, SET)
NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
AGGREGATES = 1000
# Every handler's work is one such row; the table counts how far a contender is.
EFFECTS = """
    CREATE TABLE effects (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number bigint NOT NULL, note text NOT NULL
    )
"""
INSERT_EFFECT = "INSERT INTO effects (number, note) VALUES ($1, $2)"
NOTE = "a member has chosen another tier; " * 5

type Publish = Callable[[Sequence[int]], Awaitable[float]]
"""Publish events of these numbers in one transaction; return the moment (time.monotonic) before COMMIT."""


@dataclass(frozen=True)
class Place:
    """The servers' addresses. The database is fresh; it holds only `effects`."""

    database_url: str
    redis_url: str

    @classmethod
    def of_child(cls) -> "Place":
        """Return the place that the benchmark has told its child process."""
        return cls(os.environ["BENCH_DATABASE_URL"], os.environ["BENCH_REDIS_URL"])


class Contender(Protocol):
    """One way to do the job. `jobs` are those it can do, each with how many events are measured.

    Where a handler reads a stream, and no table, it `handles_streams`.
    """

    name: str
    streams: Sequence[str]
    handles_streams: bool
    jobs: Mapping[str, int]

    async def prepare(self, place: Place) -> None:
        """Make the tables."""
        ...

    def publisher(self, place: Place, connections: int) -> AbstractAsyncContextManager[Publish]:
        """Open what publishing needs, for so many transactions at the same time."""
        ...

    async def work(self, place: Place, job: str) -> None:
        """Do the job in a process of its own, until that is killed."""
        ...

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the event's number from a stream's entry."""
        ...


def body(number: int) -> str:
    """Return the payload of an event, about 230 bytes of JSON."""
    return json.dumps({"number": number, "tier": "premium", "note": NOTE})


def aggregate(number: int) -> UUID:
    """Return the aggregate that the event of this number belongs to."""
    return uuid5(NAMESPACE, str(number % AGGREGATES))
