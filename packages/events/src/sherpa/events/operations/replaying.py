"""Publishes again what was published: for a broker that has lost its data. Dedupe absorbs what was handled.

The rows are marked as unpublished, all in one transaction, and the relay publishes them as any others: in the
order of their creation, by one leader, fenced. So a replay that is killed has done nothing, and one that has
ended is safe in PostgreSQL. Why so: docs/decisions/0103-replay-marks-rows-in-one-transaction.md.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from sherpa.config import EventsSettings
from sherpa.events import locks
from sherpa.events.errors import EventsError
from sherpa.events.operations.moments import Moment, in_words, resolve
from sherpa.events.wakeup import CHANNEL, REPLAYED

CHUNK: Final = 2_000
"""Rows that are marked by one statement."""

LOCK: Final = "replay"

_MEANT: Final = """
SELECT id FROM outbox
WHERE processed_at >= $1 AND processed_at < $2 AND created_at >= $3
  AND (cardinality($4::text[]) = 0 OR event_type = ANY($4)) AND ($5::uuid IS NULL OR aggregate_id = $5)
"""
_COUNT: Final = """
SELECT event_type, created_at >= $3 AS allowed, count(*) FROM outbox
WHERE processed_at >= $1 AND processed_at < $2
  AND (cardinality($4::text[]) = 0 OR event_type = ANY($4)) AND ($5::uuid IS NULL OR aggregate_id = $5)
GROUP BY 1, 2 ORDER BY 1
"""
_MARK: Final = """
WITH marked AS (
    UPDATE outbox SET processed_at = NULL WHERE id = ANY($1::uuid[]) AND processed_at IS NOT NULL RETURNING 1
)
SELECT count(*) FROM marked
"""

type Tell = Callable[[int, int, float], None]
"""What is told of the progress: rows done, rows in all, rows a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to publish again: published in [since, to), of these types (none: all), of this aggregate."""

    since: Moment
    to: Moment = timedelta()
    types: Sequence[str] = ()
    aggregate_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay would do: events by type, and how many are left out for being older than `floor`.

    All times are by the database's clock; what was published before `kept_since` may have been pruned.
    """

    since: datetime
    to: datetime
    floor: datetime
    kept_since: datetime
    by_type: Mapping[str, int]
    too_old: int
    selection: Selection

    @property
    def count(self) -> int:
        """How many events are meant."""
        return sum(self.by_type.values())


async def plan_replay(connection: asyncpg.Connection, selection: Selection, events: EventsSettings) -> Plan:
    """Look what is meant. Raises EventsError for a range that is empty, or begins too long ago."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    since, to = resolve(selection.since, now), resolve(selection.to, now)
    floor = now - timedelta(days=events.replay_days)
    _check(since, to, floor, events)
    counted = await connection.fetch(_COUNT, since, to, floor, list(selection.types), selection.aggregate_id)
    return Plan(
        since=since,
        to=to,
        floor=floor,
        kept_since=now - timedelta(days=events.outbox_retention_days),
        by_type={row["event_type"]: row["count"] for row in counted if row["allowed"]},
        too_old=sum(row["count"] for row in counted if not row["allowed"]),
        selection=selection,
    )


async def replay(connection: asyncpg.Connection, plan: Plan, tell: Tell) -> int:
    """Let the relay publish again what the plan means; return how many. All of it, or nothing at all.

    Raises EventsError while another replay is under way.
    """
    began, done = time.monotonic(), 0
    async with connection.transaction():
        await _be_the_only_one(connection)
        meant = await connection.cursor(_MEANT, *_bounds(plan))
        while rows := await meant.fetch(CHUNK):
            done += await connection.fetchval(_MARK, [row["id"] for row in rows])
            tell(done, plan.count, done / max(time.monotonic() - began, 1e-6))
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, REPLAYED)
    return done


def _check(since: datetime, to: datetime, floor: datetime, events: EventsSettings) -> None:
    if to <= since:
        raise EventsError(
            f"Nothing lies between {in_words(since)} and {in_words(to)}: --to comes after --since."
        )
    if since < floor:
        raise EventsError(
            f"{in_words(since)} is more than {events.replay_days} days ago (EVENTS_REPLAY_DAYS). What"
            f" handlers did is remembered for {events.dedupe_retention_days} days"
            f" (EVENTS_DEDUPE_RETENTION_DAYS); published again later, an event would take effect twice."
            f" Begin with --since {events.replay_days}d."
        )


def _bounds(plan: Plan) -> tuple[datetime, datetime, datetime, list[str], UUID | None]:
    selection = plan.selection
    return plan.since, plan.to, plan.floor, list(selection.types), selection.aggregate_id


async def _be_the_only_one(connection: asyncpg.Connection) -> None:
    # Ends with the transaction: behind a pooler the session is not ours.
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", locks.key(LOCK)):
        raise EventsError(
            "Another replay is under way in this database: wait for it, then look what is left to do."
        )
