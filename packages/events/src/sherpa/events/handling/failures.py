"""The rows of failed_events that belong to one handler's partition: every change to them, and every look.

The owner of the partition is the only one to write them, but for operators, who retry or discard.
Order within an aggregate is that of `position`. Nothing here waits for anything but the database.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from typing import Final
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sherpa.events.brokers.broker import Fields
from sherpa.events.handling import statements
from sherpa.events.handling.handler import OnFailure
from sherpa.events.handling.statements import fill
from sherpa.events.handling.storable import as_json, told, traced

MOST_DEATHS: Final = 3
"""So often a process may die while it runs an event; then nobody runs it again but by an operator's word."""

_MOST_DUE: Final = 100
# What is written in one statement: it must fit into a message, and the sessions' beats must not wait for it.
_MOST_PARKED: Final = 500


@dataclass(frozen=True, slots=True)
class Parked:
    """An event as it is kept in failed_events, with all that is needed to run it again."""

    event_id: UUID
    aggregate_id: UUID
    event_type: str
    fields: Fields
    flaw: Exception | None = None
    """Why no event can be read in it: then nothing is run, now or later."""


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
            as_json(event.fields),
            wait,
            attempts,
            told(error),
            traced(error),
            int(is_heard),
        )

    async def park(
        self, connection: PoolConnectionProxy, events: Sequence[Parked], *, deaths: int = 0
    ) -> dict[UUID, str]:
        """Keep the events, in this order: to run now, or after the earlier ones of their aggregate.

        Those with a flaw are dead at once. Return the status of each, but for those that were here before,
        and those that the handler has done or an operator has discarded.
        """
        self.is_changed = True
        kept: dict[UUID, str] = {}
        for part in batched(events, _MOST_PARKED):
            kept |= await self._park_part(connection, part, deaths)
        return kept

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

    async def _park_part(
        self, connection: PoolConnectionProxy, events: Sequence[Parked], deaths: int
    ) -> dict[UUID, str]:
        # Of a flood most have the same flaw, and one traceback does for all of these.
        flaws = {str(event.flaw): event.flaw for event in events if event.flaw}
        texts = {name: (told(flaw), traced(flaw)) for name, flaw in flaws.items()}
        shown = [texts[str(event.flaw)] if event.flaw else (None, None) for event in events]
        rows = await connection.fetch(
            self._park,
            self._handler,
            [event.event_id for event in events],
            [event.aggregate_id for event in events],
            [event.event_type for event in events],
            [as_json(event.fields) for event in events],
            [error for error, _ in shown],
            [traceback for _, traceback in shown],
            deaths,
        )
        return {row["event_id"]: row["status"] for row in rows}


def _failure(row: asyncpg.Record) -> Failure:
    # What could not be read when it came may have neither: then its id stands for its aggregate.
    event = Parked(
        row["event_id"],
        row["aggregate_id"] or row["event_id"],
        row["event_type"] or "",
        json.loads(row["entry"]),
    )
    return Failure(event, row["attempts"], row["deaths"])
