"""The sampled gauges show what PostgreSQL, the broker and the pool hold, and nothing that is gone."""

from uuid import uuid4

import asyncpg
import pytest

from sherpa.db.engine import Database
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.metrics import Metrics
from sherpa.worker.sampler import Sampler

WRITE = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at)
SELECT 'a', gen_random_uuid(), 'a.b', '{}', now() - interval '1 hour' FROM generate_series(1, $1)
"""


@pytest.fixture
def broker() -> Broker:
    """A broker in memory, which keeps the same promises."""
    return MemoryBroker()


async def append(broker: Broker, count: int) -> None:
    """Append so many entries to partition 0."""
    token = await broker.take(0, "relay")
    await broker.append(0, token, [{"id": str(uuid4())} for _ in range(count)])


async def test_a_stream_and_its_groups_are_shown(database: Database, broker: Broker) -> None:
    """Length, lag and pending of each partition's groups are those of the broker."""
    metrics = Metrics()
    await append(broker, 3)
    await broker.ensure_group(0, "welcome")
    token = await broker.take(0, "welcome")
    await broker.read(0, "welcome", "one", token, count=2)

    await Sampler(database, broker, metrics, partitions=2).sample()

    value = metrics.registry.get_sample_value
    group = {"handler": "welcome", "partition": "0"}
    assert (3, 0, 1, 2) == (
        value("sherpa_events_stream_length", {"partition": "0"}),
        value("sherpa_events_stream_length", {"partition": "1"}),
        value("sherpa_events_group_lag", group),
        value("sherpa_events_group_pending", group),
    )
    assert (value("sherpa_events_sampled_timestamp_seconds") or 0) > 0


async def test_the_outbox_is_shown(
    database: Database, broker: Broker, connection: asyncpg.Connection
) -> None:
    """What waits and since when, dead rows, the last vacuum, and the memory that the stream takes."""
    metrics = Metrics()
    await append(broker, 3)
    await connection.execute("VACUUM outbox")
    await connection.execute(WRITE, 3)
    await connection.execute("DELETE FROM outbox WHERE id = (SELECT id FROM outbox LIMIT 1)")
    await connection.execute("SELECT pg_stat_force_next_flush()")

    await Sampler(database, broker, metrics, partitions=1).sample()

    value = metrics.registry.get_sample_value
    assert (2, 1) == (value("sherpa_events_outbox_pending"), value("sherpa_events_outbox_dead_tuples"))
    assert 3600 <= (value("sherpa_events_outbox_oldest_pending_seconds") or 0) < 7200
    assert (value("sherpa_events_outbox_last_vacuum_timestamp_seconds") or 0) > 0
    assert (value("sherpa_events_stream_memory_bytes", {"partition": "0"}) or 0) > 0


async def test_the_brokers_memory_is_shown(database: Database) -> None:
    """The part of what it may use: a quarter here."""
    metrics = Metrics()
    broker = MemoryBroker(room=4)
    await append(broker, 1)

    await Sampler(database, broker, metrics, partitions=1).sample()

    assert 0.25 == metrics.registry.get_sample_value("sherpa_events_broker_memory_share")


async def test_what_is_gone_is_shown_no_more(database: Database, broker: Broker) -> None:
    """A failed event that is dealt with, and a group that is dropped, leave no stale line behind."""
    metrics = Metrics()
    sampler = Sampler(database, broker, metrics, partitions=1)
    await broker.ensure_group(0, "old")
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO failed_events (event_id, handler_name, entry, status)"
            " VALUES (gen_random_uuid(), 'old', '{}', 'dead')"
        )
    await sampler.sample()
    before = metrics.registry.get_sample_value("sherpa_events_failed", {"handler": "old", "status": "dead"})

    await broker.drop_group(0, "old")
    async with database.connection() as connection:
        await connection.execute("DELETE FROM failed_events")
    await sampler.sample()

    value = metrics.registry.get_sample_value
    assert (1, None, None) == (
        before,
        value("sherpa_events_failed", {"handler": "old", "status": "dead"}),
        value("sherpa_events_group_lag", {"handler": "old", "partition": "0"}),
    )


async def test_the_pool_is_shown(database: Database, broker: Broker) -> None:
    """Connections in use are told from idle ones."""
    metrics = Metrics()

    async with database.connection():
        await Sampler(database, broker, metrics, partitions=1).sample()

    assert 1 == metrics.registry.get_sample_value("sherpa_events_pool_connections", {"state": "in_use"})
