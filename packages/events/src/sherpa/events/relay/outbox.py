"""The outbox as the relay reads and marks it: few statements, on a session whose plans are pinned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from sherpa.events.entry import COLUMNS, fields_of
from sherpa.events.partitions import partition_of
from sherpa.events.relay.horizon import BEGINNING, Bounds, Sample

# The bound is computed by the statement itself, in the same snapshot that decides what is visible. NOT IN is
# right here: as a hashed subplan it is nearly free, where `<> ALL(array)` compares each row with each id.
_READ: Final = f"""
SELECT {COLUMNS} FROM outbox
WHERE processed_at IS NULL
  AND created_at >= (
      SELECT least($1::timestamptz, min(since))
      FROM unnest($2::xid8[], $3::timestamptz[]) AS late(number, since)
      WHERE pg_visible_in_snapshot(number, pg_current_snapshot())
  )
  AND outbox.id NOT IN (SELECT unnest($4::text[]::uuid[]))
  AND ($5 = 1 OR {partition_of("aggregate_id", "$5")} = $6)
ORDER BY created_at, outbox.id
LIMIT $7
"""  # noqa: S608 - our own constants

# All of a batch at one time, and each batch later than the one before: their order is that of the appends.
# No condition on processed_at: it would let the planner walk all that waits, to look for 500 ids in it.
_MARK: Final = """
UPDATE outbox SET processed_at = coalesce(processed_at, statement_timestamp())
WHERE id = ANY($1::text[]::uuid[])
"""

_TOUCH: Final = """
UPDATE outbox SET processed_at = NULL WHERE id = (
    SELECT id FROM outbox WHERE processed_at IS NULL ORDER BY created_at, id LIMIT 1
) AND processed_at IS NULL
"""

# An event that is not marked was appended last, for the marks follow the appends: nothing came after it.
_FOLLOWED: Final = f"""
WITH newest AS (SELECT processed_at FROM outbox WHERE id = $1::text::uuid),
bound AS (SELECT CASE WHEN EXISTS (TABLE newest) THEN (TABLE newest) ELSE $2::timestamptz END AS since)
SELECT since FROM bound
WHERE EXISTS (
    SELECT FROM outbox
    WHERE processed_at > since AND ($3 = 1 OR {partition_of("aggregate_id", "$3")} = $4)
)
"""  # noqa: S608 - our own constants

# The margin is for a clock that is set back.
_RECALL: Final = f"""
WITH recalled AS (
    UPDATE outbox SET processed_at = NULL
    WHERE processed_at >= $1::timestamptz - interval '5 seconds'
      AND created_at >= clock_timestamp() - make_interval(days => $2)
      AND ($3 = 1 OR {partition_of("aggregate_id", "$3")} = $4)
    RETURNING 1
)
SELECT count(*) FROM recalled
"""  # noqa: S608 - our own constants

_SAMPLE: Final = "SELECT clock_timestamp() AS at, pg_current_snapshot() AS snapshot"


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in their order, as entries of the stream. `is_full`: there may be more of them."""

    entries: Sequence[Mapping[str, str]] = ()
    is_full: bool = False

    @property
    def ids(self) -> list[str]:
        """The events' ids."""
        return [entry["id"] for entry in self.entries]

    @property
    def reached(self) -> datetime | None:
        """When the last event was created; None where there may be no more."""
        return created_at(self.entries[-1]) if self.is_full else None


NOTHING: Final = Batch()

# A million events take half a minute.
RECALL_SECONDS: Final = 600.0


def created_at(entry: Mapping[str, str]) -> datetime:
    """Return when an event was created: the beginning where somebody wrote a time that Python has not."""
    try:
        return datetime.fromisoformat(entry["occurred_at"])
    except (KeyError, ValueError):  # infinity, the year 10000: nothing that the relay may stop at
        return BEGINNING


class Outbox:
    """One partition's share of the outbox, on a session of its own."""

    def __init__(self, connection: asyncpg.Connection, partition: int, partitions: int) -> None:
        self._connection = connection
        self._share = (partitions, partition)

    async def read(self, bounds: Bounds, in_flight: Sequence[str], limit: int) -> Batch:
        """Return the oldest events that are not marked, without those in flight, at most `limit`."""
        rows = await self._connection.fetch(
            _READ, bounds.recent, bounds.numbers, bounds.since, in_flight, *self._share, limit
        )
        return Batch([fields_of(row) for row in rows], is_full=len(rows) == limit)

    async def mark(self, ids: Sequence[str]) -> None:
        """Mark the events as published. One that is marked already keeps its time."""
        await self._connection.execute(_MARK, ids)

    async def touch(self) -> None:
        """Write to an event that waits, if there is one, and change nothing: raises what marking would."""
        await self._connection.execute(_TOUCH)

    async def followed(self, event_id: str, created: datetime) -> datetime | None:
        """Return since when others were published after this event; None where none were.

        Of one that is no more it is the time that it was created at.
        """
        since: datetime | None = await self._connection.fetchval(
            _FOLLOWED, event_id, created, *self._share, timeout=RECALL_SECONDS
        )
        return since

    async def recall(self, since: datetime, *, days: int) -> int:
        """Let all wait again that was published since then, but for what is older than the days; count it."""
        async with self._connection.transaction():
            # What the relay appends next may be marked for good: a crash of the server must not undo this.
            await self._connection.execute("SET LOCAL synchronous_commit = on")
            count: int = await self._connection.fetchval(
                _RECALL, since, days, *self._share, timeout=RECALL_SECONDS
            )
        return count

    async def now(self) -> datetime:
        """Return the server's time."""
        now: datetime = await self._connection.fetchval("SELECT clock_timestamp()")
        return now

    async def sample(self) -> Sample:
        """Return the server's time and its open transactions."""
        (row,) = await self._connection.fetch(_SAMPLE)
        _, _, open_numbers = row["snapshot"]
        return Sample(row["at"], frozenset(open_numbers))
