"""Events that a handler has given up: found, shown, run again or given up for good.

Safe beside running handlers: a dead letter is touched by operators alone, each decision is one transaction,
and the handler is told of it (`NOTIFY sherpa_handlers`).
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from sherpa.events.errors import EventsError
from sherpa.events.handling.names import CHANNEL

CHUNK: Final = 1_000
"""Dead letters that are decided on in one transaction."""

_FIRST: Final = (UUID(int=0), "")
_MOST_HANDLERS: Final = 10_000

_FIND: Final = """
SELECT failed.*, (
    SELECT count(*) FROM failed_events AS later
    WHERE later.handler_name = failed.handler_name AND later.aggregate_id = failed.aggregate_id
      AND later.status = 'waiting' AND later.position > failed.position
) AS behind
FROM failed_events AS failed
WHERE CASE WHEN $1::uuid IS NULL THEN status = 'dead' ELSE event_id = $1 END
  AND ($2::text IS NULL OR handler_name = $2)
ORDER BY last_failed_at DESC NULLS LAST, position DESC LIMIT $3
"""
_COUNT: Final = """
SELECT count(*) FROM failed_events
WHERE status = 'dead' AND ($1::uuid IS NULL OR event_id = $1) AND ($2::text IS NULL OR handler_name = $2)
"""
# SKIP LOCKED: who decides at the same time has the others. By the key, whose index leads to the next ones.
_CHOOSE: Final = """
SELECT event_id, handler_name FROM failed_events
WHERE status = 'dead' AND ($1::uuid IS NULL OR event_id = $1) AND ($2::text IS NULL OR handler_name = $2)
  AND (event_id, handler_name) > ($3::uuid, $4::text)
ORDER BY event_id, handler_name LIMIT $5 FOR UPDATE SKIP LOCKED
"""
_RETRY: Final = """
UPDATE failed_events AS failed SET status = 'retrying', attempts = 0, deaths = 0, next_attempt_at = now()
FROM unnest($1::uuid[], $2::text[]) AS chosen (event_id, handler_name)
WHERE failed.event_id = chosen.event_id AND failed.handler_name = chosen.handler_name
"""
# The row in processed_events keeps a later replay from running what was given up.
_DISCARD: Final = """
WITH discarded AS (
    DELETE FROM failed_events AS failed
    USING unnest($1::uuid[], $2::text[]) AS chosen (event_id, handler_name)
    WHERE failed.event_id = chosen.event_id AND failed.handler_name = chosen.handler_name
    RETURNING failed.event_id, failed.handler_name
)
INSERT INTO processed_events (event_id, handler_name) SELECT event_id, handler_name FROM discarded
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A failed event of one handler. `deaths` counts the processes that died with it in hand.

    `behind` counts later events of its aggregate that wait for it; `entry` are the stream entry's fields;
    `status` is dead, or retrying or waiting where one is looked up by its id.
    """

    event_id: UUID
    handler_name: str
    aggregate_id: UUID | None
    event_type: str | None
    entry: Mapping[str, str]
    status: str
    attempts: int
    deaths: int
    error: str | None
    traceback: str | None
    next_attempt_at: datetime | None
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    position: int
    behind: int


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters are meant: one event's, one handler's, both or (with neither) all."""

    event_id: UUID | None = None
    handler: str | None = None


async def list_dead(
    connection: asyncpg.Connection, handler: str | None, limit: int
) -> tuple[int, Sequence[DeadLetter]]:
    """Return how many there are, and the newest of them."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        total = await count_dead(connection, Which(handler=handler))
        return total, await _fetch(connection, Which(handler=handler), limit)


async def count_dead(connection: asyncpg.Connection, which: Which) -> int:
    """Return how many dead letters are meant."""
    count: int = await connection.fetchval(_COUNT, which.event_id, which.handler)
    return count


async def find_or_refuse(connection: asyncpg.Connection, which: Which) -> Sequence[DeadLetter]:
    """Return what has failed of one event; raise EventsError when nothing has."""
    if found := await _fetch(connection, which, _MOST_HANDLERS):
        return found
    whose = f" of {which.handler}" if which.handler else ""
    raise EventsError(
        f"No failed event{whose} has the id {which.event_id}: it was handled, discarded, or never failed. "
        f"`dead-letters list` shows those that there are."
    )


def retry(connection: asyncpg.Connection, which: Which) -> AsyncIterator[int]:
    """Let handlers run them again, with all their attempts; yields how many by one transaction."""
    return _decide(connection, _RETRY, which)


def discard(connection: asyncpg.Connection, which: Which) -> AsyncIterator[int]:
    """Give them up: they count as handled. Yields how many by one transaction."""
    return _decide(connection, _DISCARD, which)


async def _decide(connection: asyncpg.Connection, statement: str, which: Which) -> AsyncIterator[int]:
    last = _FIRST
    while True:
        async with connection.transaction():
            chosen = await connection.fetch(_CHOOSE, which.event_id, which.handler, *last, CHUNK)
            events, handlers = [row[0] for row in chosen], [row[1] for row in chosen]
            await connection.execute(statement, events, handlers)
            for handler in sorted(set(handlers)):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, handler)
        yield len(chosen)
        if len(chosen) < CHUNK:
            return
        last = events[-1], handlers[-1]


async def _fetch(connection: asyncpg.Connection, which: Which, limit: int) -> Sequence[DeadLetter]:
    rows = await connection.fetch(_FIND, which.event_id, which.handler, limit)
    names = [field.name for field in fields(DeadLetter)]
    return [
        DeadLetter(**{name: row[name] for name in names} | {"entry": json.loads(row["entry"])})
        for row in rows
    ]
