"""The rows of failed_events that belong to one handler's partition: every change to them, and every look.

The owner of the partition is the only one to write them, but for operators, who retry or discard.
Order within an aggregate is that of `position`. Nothing here waits for anything but the database.
"""

import json
import math
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sherpa.events.brokers.broker import Fields
from sherpa.events.handling import statements
from sherpa.events.handling.handler import OnFailure
from sherpa.events.handling.statements import fill

MOST_DEATHS: Final = 3
"""So often a process may die while it runs an event; then nobody runs it again but by an operator's word."""

_LONGEST_ERROR: Final = 2_000
_LONGEST_TRACEBACK: Final = 20_000
_MOST_DUE: Final = 100


@dataclass(frozen=True, slots=True)
class Parked:
    """An event as it is kept in failed_events, with all that is needed to run it again."""

    event_id: UUID
    aggregate_id: UUID
    event_type: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Failure:
    """A row: the event, the attempts that have failed, and the runs that nothing was heard of again."""

    event: Parked
    attempts: int
    deaths: int


class Failures:
    """One handler's failed events in one of so many partitions; each method works on the session given."""

    def __init__(self, handler: str, on_failure: OnFailure, *, partition: int, partitions: int) -> None:
        self.is_changed = True
        """Whether there may be something due that was not there at the last look."""
        self._handler = handler
        self._partition = (partition, partitions)
        self._look = fill(statements.LOOK, on_failure)
        self._park = fill(statements.PARK, on_failure)
        self._due = fill(statements.DUE, on_failure)
        self._next_due = fill(statements.NEXT_DUE, on_failure)
        self._release = fill(statements.RELEASE, on_failure)
        self._release_all = fill(statements.RELEASE_ALL, on_failure)

    async def look(
        self, connection: PoolConnectionProxy, aggregates: Iterable[UUID], events: Iterable[UUID]
    ) -> tuple[set[UUID], set[UUID]]:
        """Return which of the aggregates an event must wait for, and which of the events are here already."""
        rows = await connection.fetch(self._look, self._handler, list(aggregates), list(events))
        return set(rows[0]["blocked"]), set(rows[0]["failed"])

    async def processed(self, connection: PoolConnectionProxy, events: Iterable[UUID]) -> set[UUID]:
        """Return which of the events the handler has done."""
        rows = await connection.fetch(statements.PROCESSED, self._handler, list(events))
        return {row["event_id"] for row in rows}

    async def fail(
        self,
        connection: PoolConnectionProxy,
        event: Parked,
        error: BaseException,
        *,
        attempts: int,
        wait: timedelta | None,
        is_heard: bool,
    ) -> None:
        """Record a failed attempt: the next one is after `wait`; None: there is none, it is dead.

        `is_heard`: it is the run that `begin` counted as one that was not heard of again.
        """
        self.is_changed = True
        await connection.execute(
            statements.FAIL,
            event.event_id,
            self._handler,
            event.aggregate_id,
            event.event_type,
            _json(event.fields),
            wait,
            attempts,
            _storable(_told(error), _LONGEST_ERROR),
            _storable("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK),
            int(is_heard),
        )

    async def park(
        self, connection: PoolConnectionProxy, events: Sequence[Parked], *, deaths: int = 0
    ) -> None:
        """Keep the events, in this order: to run now, or after the earlier ones of their aggregate."""
        self.is_changed = True
        await connection.execute(
            self._park,
            self._handler,
            [event.event_id for event in events],
            [event.aggregate_id for event in events],
            [event.event_type for event in events],
            [_json(event.fields) for event in events],
            deaths,
        )

    async def due(self, connection: PoolConnectionProxy) -> list[Failure]:
        """Return the events whose next attempt is due, the longest due first; of many the first."""
        return [
            _failure(row)
            for row in await connection.fetch(self._due, self._handler, *self._partition, _MOST_DUE)
        ]

    async def seconds_to_next(self, connection: PoolConnectionProxy) -> float:
        """Return how long until an attempt is due; infinite where none is to come."""
        seconds: float | None = await connection.fetchval(self._next_due, self._handler, *self._partition)
        return math.inf if seconds is None else max(seconds, 0.0)

    async def begin(self, connection: PoolConnectionProxy, failure: Failure) -> bool:
        """Count the run that begins as one not heard of again; False where an operator was faster."""
        return bool(
            await connection.fetchval(statements.BEGIN, failure.event.event_id, self._handler, failure.deaths)
        )

    async def survive(self, connection: PoolConnectionProxy, event_id: UUID) -> None:
        """Take back what `begin` counted: the process lives, and the event's attempt did not count."""
        await connection.execute(statements.SURVIVE, event_id, self._handler)

    async def remove(self, connection: PoolConnectionProxy, event_id: UUID) -> bool:
        """Delete the row; tell whether it was there."""
        return bool(await connection.fetchval(statements.REMOVE, event_id, self._handler))

    async def release(self, connection: PoolConnectionProxy, aggregate_id: UUID) -> Failure | None:
        """Let the aggregate's first waiting event run, if nothing is before it any more, and return it."""
        self.is_changed = True
        row = await connection.fetchrow(self._release, self._handler, aggregate_id)
        return _failure(row) if row else None

    async def release_all(self, connection: PoolConnectionProxy) -> None:
        """Let every event run that waits for nothing: an operator has discarded what was before it."""
        await connection.execute(self._release_all, self._handler, *self._partition)


def _failure(row: asyncpg.Record) -> Failure:
    # What could not be read when it came may have neither: then its id stands for its aggregate.
    event = Parked(
        row["event_id"],
        row["aggregate_id"] or row["event_id"],
        row["event_type"] or "",
        json.loads(row["entry"]),
    )
    return Failure(event, row["attempts"], row["deaths"])


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()  # knows what to do where str() fails


def _json(fields: Fields) -> str:
    # JSON can hold a NUL and half of a surrogate pair, jsonb can't: such an entry is kept to be looked at.
    return json.dumps({_storable(name): _storable(text) for name, text in fields.items()}, ensure_ascii=False)


def _storable(text: str, longest: int | None = None) -> str:
    """Return the text as PostgreSQL can hold it, with the end where it is too long: errors are told there."""
    readable = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if longest is None or len(readable) <= longest:
        return readable
    return "…" + readable[1 - longest :]
