"""Retention: deletes what has been kept for long enough, in small transactions, beside whatever runs.

Never a row that waits to be published; and of the memory of handled events never what one that waits, or one
that a replay may still publish, could need.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.locks import Connection

CHUNK: Final = 5_000
"""Rows that are deleted by one statement, in a transaction of its own."""

# Of who prunes at the same time each has other rows; a replay's have priority.
_OUTBOX: Final = """
WITH gone AS (
    DELETE FROM outbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM outbox WHERE processed_at < $1
        ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*) FROM gone
"""
_DEDUPE: Final = """
WITH gone AS (
    DELETE FROM processed_events WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM processed_events WHERE handler_name = $1 AND processed_at < $2
        ORDER BY processed_at LIMIT $3 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*) FROM gone
"""
# The first of the index, the next one after it, and so on: PostgreSQL's DISTINCT would read all of it.
_HANDLERS: Final = """
WITH RECURSIVE handlers (name) AS (
    (SELECT handler_name::text FROM processed_events ORDER BY handler_name LIMIT 1)
    UNION ALL
    SELECT (
        SELECT handler_name::text FROM processed_events WHERE handler_name > handlers.name
        ORDER BY handler_name LIMIT 1
    )
    FROM handlers WHERE handlers.name IS NOT NULL
)
SELECT name FROM handlers WHERE name IS NOT NULL
"""
# A handler does an event after it was written: whatever was done before the oldest one that waits was written
# was no event that waits.
_CUTOFFS: Final = """
SELECT
    clock_timestamp() - make_interval(days => $1) AS outbox,
    least(
        clock_timestamp() - make_interval(days => $2),
        (SELECT min(created_at) FROM outbox WHERE processed_at IS NULL)
    ) AS dedupe
"""
_COUNT_OUTBOX: Final = "SELECT count(*) FROM outbox WHERE processed_at < $1"
_COUNT_DEDUPE: Final = "SELECT count(*) FROM processed_events WHERE processed_at < $1"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the outbox and of processed_events: deleted by a step, or due for it."""

    outbox: int = 0
    dedupe: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.outbox + self.dedupe

    def __bool__(self) -> bool:
        return self.total > 0

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(self.outbox + other.outbox, self.dedupe + other.dedupe)


async def prune_step(connection: Connection, events: EventsSettings, *, limit: int = CHUNK) -> Rows:
    """Delete up to `limit` rows of the outbox and as many of each handler's memory; return how many.

    When nothing was deleted, nothing is due. Not inside a transaction: each statement commits by itself.
    """
    outbox_before, dedupe_before = await _cutoffs(connection, events)
    outbox: int = await connection.fetchval(_OUTBOX, outbox_before, limit)
    dedupe = 0
    for row in await connection.fetch(_HANDLERS):
        dedupe += await connection.fetchval(_DEDUPE, row["name"], dedupe_before, limit)
    return Rows(outbox, dedupe)


async def count_due(connection: Connection, events: EventsSettings) -> Rows:
    """Return how many rows have been kept for long enough. Reads all of their indexes: for people."""
    outbox_before, dedupe_before = await _cutoffs(connection, events)
    return Rows(
        await connection.fetchval(_COUNT_OUTBOX, outbox_before),
        await connection.fetchval(_COUNT_DEDUPE, dedupe_before),
    )


async def _cutoffs(connection: Connection, events: EventsSettings) -> tuple[datetime, datetime]:
    (row,) = await connection.fetch(_CUTOFFS, events.outbox_retention_days, events.dedupe_retention_days)
    return row["outbox"], row["dedupe"]
