"""A pass over the outbox costs what there is to publish, whoever keeps the table from being tidied."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.events.relay import horizon, outbox, reading
from sherpa.events.relay.horizon import Bounds
from sherpa.events.relay.outbox import Outbox
from sherpa.events.relay.reading import Reader
from sherpa.events.relay.session import Session, open_session

BATCH = 500
WRITE = """
INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at)
SELECT gen_random_uuid(), 'test', gen_random_uuid(), 'test.counted', '{}', clock_timestamp()
FROM generate_series(1, $1::int)
"""


@pytest.fixture
async def session(database_settings: DatabaseSettings) -> AsyncIterator[Session]:
    """Return a relay's session."""
    session = await open_session(database_settings, "sherpa-relay-test", lambda: None)
    yield session
    await session.close()


@pytest.fixture
async def old(database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session for a transaction that is held open."""
    connection = await asyncpg.connect(**connect_options(database_settings, "test-old"))
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bounds move with every pass, and nothing be read from the beginning for safety's sake."""
    monkeypatch.setattr(reading, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FULL_PASS_SECONDS", 3600.0)
    monkeypatch.setattr(horizon, "MARGIN", timedelta())


@asynccontextmanager
async def held_open(connection: asyncpg.Connection, *, writing: bool) -> AsyncIterator[None]:
    """Hold a transaction open that keeps VACUUM, and the index's own tidying, from removing anything."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetchval("SELECT pg_current_xact_id()" if writing else "SELECT count(*) FROM outbox")
        yield


async def explain(session: Session, reader: Reader) -> dict[str, Any]:
    """Return what PostgreSQL did for the relay's next pass, as its EXPLAIN tells it."""
    bounds = reader._horizon.bounds
    text = await session.connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {outbox._READ}",
        bounds.recent,
        bounds.numbers,
        bounds.since,
        [],
        1,
        0,
        BATCH,
    )
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def blocks(plan: dict[str, Any]) -> int:
    """Return how many blocks were touched."""
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def nodes(plan: dict[str, Any]) -> set[str]:
    """Return the kinds of all nodes of a plan."""
    return {plan["Node Type"]}.union(*(nodes(each) for each in plan.get("Plans", [])))


async def move(connection: asyncpg.Connection, box: Outbox, reader: Reader) -> int:
    """Write a batch, read everything there is and mark it; return how much it was."""
    await connection.execute(WRITE, BATCH)
    moved = 0
    while (batch := await reader.read([], BATCH)).entries:
        await box.mark(batch.ids)
        moved += len(batch.entries)
    return moved


@pytest.mark.parametrize("writing", [False, True], ids=["reads", "writes"])
async def test_old_transaction_does_not_slow_reading(
    writing: bool, session: Session, old: asyncpg.Connection, connection: asyncpg.Connection
) -> None:
    """While a transaction stays open, a pass touches as little after 10,000 events as after 1,000."""
    box = Outbox(session.connection, 0, 1)
    reader = Reader(box, 1_000)

    async with held_open(old, writing=writing):
        moved = [await move(connection, box, reader) for _ in range(2)]
        early = blocks(await explain(session, reader))
        moved += [await move(connection, box, reader) for _ in range(18)]
        late = blocks(await explain(session, reader))

    assert 20 * BATCH == sum(moved)
    assert late <= early + 10


async def test_without_the_bound_it_would_be_slow(
    session: Session, old: asyncpg.Connection, connection: asyncpg.Connection
) -> None:
    """The same pass from the beginning touches every event since: what the test above measures is real."""
    box = Outbox(session.connection, 0, 1)
    reader = Reader(box, 1_000)

    async with held_open(old, writing=False):
        for _ in range(20):
            await move(connection, box, reader)
        bounded = blocks(await explain(session, reader))
        reader._horizon.restart()
        from_the_beginning = blocks(await explain(session, reader))

    assert from_the_beginning > 10 * bounded


async def test_marking_ignores_what_waits(session: Session, connection: asyncpg.Connection) -> None:
    """Marking a batch finds its events by their keys, on a table that was never analysed, too."""
    await connection.execute(WRITE, 5_000)
    batch = await Outbox(session.connection, 0, 1).read(Bounds(), [], BATCH)

    text = await session.connection.fetchval(f"EXPLAIN (FORMAT JSON) {outbox._MARK}", batch.ids)

    (scan,) = json.loads(text)[0]["Plan"]["Plans"]
    assert "outbox_pkey" == scan["Index Name"]


async def test_plan_was_never_analysed(session: Session, connection: asyncpg.Connection) -> None:
    """On a table that was never analysed, a backlog is read in the index's order, not sorted as a whole."""
    await connection.execute(WRITE, 5_000)

    plan = await explain(session, Reader(Outbox(session.connection, 0, 1), 1_000))

    assert nodes(plan) <= {
        "Limit",
        "Incremental Sort",
        "Index Scan",
        "Aggregate",
        "Nested Loop",
        "Result",
    } | {"ProjectSet", "Function Scan"}
    assert blocks(plan) < 700


async def test_large_payloads_make_small_batches(
    session: Session, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is bounded in bytes, too: first by the largest payload there may be, then by those it met."""
    monkeypatch.setattr(reading, "BATCH_BYTES", 10_000)
    for size, count in ((10, 100), (2_500, 500)):
        await connection.execute(WRITE.replace("'{}'", f"to_jsonb(repeat('x', {size}))"), count)
    box = Outbox(session.connection, 0, 1)
    reader = Reader(box, 1_000)

    sizes = []
    while (batch := await reader.read([], BATCH)).entries:
        await box.mark(batch.ids)
        sizes.append(len(batch.entries))

    first, second, *rest = sizes
    assert (10, BATCH) == (first, second)  # nine tenths of the second one are larger than those before
    assert 90 == sum(rest)
    assert max(rest) <= 4


async def test_end_is_looked_up(session: Session, connection: asyncpg.Connection) -> None:
    """Whether anything was published after an event is found at a glance, however much was before it."""
    await connection.execute(WRITE, 5_000)
    await connection.execute("UPDATE outbox SET processed_at = created_at")
    newest = await connection.fetchrow("SELECT id::text, created_at FROM outbox ORDER BY processed_at DESC")
    assert newest is not None

    text = await session.connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {outbox._FOLLOWED}", *newest, 1, 0
    )

    plan = json.loads(text)[0]["Plan"]
    assert blocks(plan) < 100
    assert await Outbox(session.connection, 0, 1).followed(*newest) is None
