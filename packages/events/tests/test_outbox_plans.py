"""Retention and replay read what they are about, and not the whole outbox, however much that keeps."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from sherpa.events.operations import replaying, retention

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FILL = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
SELECT 'test', gen_random_uuid(), 'test.done', jsonb_build_object('note', repeat('x', 200)), at, at
FROM generate_series(1, 20000) AS n, LATERAL (SELECT $1::timestamptz - n * interval '1 minute') AS t (at)
"""


@pytest.fixture
async def history(connection: asyncpg.Connection) -> int:
    """Publish 20,000 events, one a minute; return how many blocks the table has."""
    await connection.execute(FILL, NOW)
    await connection.execute("VACUUM (ANALYZE) outbox")
    blocks: int = await connection.fetchval("SELECT pg_relation_size('outbox') / 8192")
    return blocks


async def explain(connection: asyncpg.Connection, statement: str, *values: object) -> dict[str, Any]:
    """Run the statement; return its plan and what that read."""
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values)
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def blocks_read(plan: dict[str, Any]) -> int:
    """Return the blocks of 8 kB that were looked at, in memory or not."""
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def indexes(plan: dict[str, Any]) -> set[str]:
    """Return the names of all indexes in a plan."""
    own = {plan["Index Name"]} if "Index Name" in plan else set()
    return own.union(*(indexes(each) for each in plan.get("Plans", [])))


async def test_nothing_due_is_found_at_a_glance(connection: asyncpg.Connection, history: int) -> None:
    """When nothing is old enough, retention looks at a handful of blocks."""
    plan = await explain(connection, retention._OUTBOX, NOW - timedelta(days=400), retention.CHUNK)

    assert {"idx_outbox_published"} == indexes(plan)
    assert blocks_read(plan) < 10 < history


async def test_retention_reads_what_it_deletes(connection: asyncpg.Connection, history: int) -> None:
    """A chunk of 100 costs some blocks a row, for itself and its indexes, and no scan of the rest."""
    before = NOW - timedelta(minutes=15_000)

    plan = await explain(connection, retention._OUTBOX, before, 100)

    assert {"idx_outbox_published"} == indexes(plan)
    assert blocks_read(plan) < 600 < history
    assert 19_900 == await connection.fetchval("SELECT count(*) FROM outbox")


async def test_replay_reads_its_range(connection: asyncpg.Connection, history: int) -> None:
    """An hour of the history is found by the time of its publication."""
    since, to = NOW - timedelta(minutes=10_060), NOW - timedelta(minutes=10_000)

    plan = await explain(connection, replaying._MEANT, since, to, NOW - timedelta(days=400), [], None)

    assert {"idx_outbox_published"} == indexes(plan)
    assert blocks_read(plan) < 20 < history
    assert 60 == plan["Actual Rows"]
