"""An end of the stream that is lost together with the relay that knew of it: the next one finds out."""

from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up
from sherpa.events.brokers.broker import Broker
from sherpa.events.metrics import Metrics
from sherpa.events.relay.bookmark import Bookmark
from sherpa.events.relay.relay import Relay

STREAM = "sherpa:events:0"
BOOKMARK = "{sherpa:events:0}:bookmark"
A_DAY_AGO = """
UPDATE outbox SET processed_at = processed_at - interval '1 day', created_at = created_at - interval '1 day'
"""


class Backup:
    """All that Redis had at a moment, as a replica that was not told the rest has it."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._kept: dict[Any, Any] = {}

    async def take(self) -> None:
        """Keep what is there."""
        async with Redis.from_url(self._url) as redis:
            self._kept = {key: await redis.dump(key) for key in await redis.keys("*sherpa:events*")}

    async def set_back(self) -> None:
        """Let it be as it was."""
        async with Redis.from_url(self._url) as redis:
            await redis.flushdb()
            for key, value in self._kept.items():
                await redis.restore(key, 0, value)


@pytest.fixture
def backup(redis_url: str) -> Backup:
    """Return what keeps the test's Redis."""
    return Backup(redis_url)


def recalled(metrics: Metrics) -> float:
    """Return how many events were published again."""
    return metrics.registry.get_sample_value("sherpa_events_recalled_total", {"partition": "0"}) or 0.0


def kill(relay: Relay) -> None:
    """End a relay as kill -9 does: it looks at nothing any more, and its session ends."""
    relay._abandon()


async def drain(broker: Broker) -> None:
    """Be done with all that is there, as a group."""
    await broker.ensure_group(0, "done")
    entries = await broker.read(0, "done", "me", await broker.take(0, "done"), count=1000)
    await broker.acknowledge(0, "done", [entry.id for entry in entries])
    await broker.trim(0)


@pytest.mark.parametrize("is_drained", [False, True])
async def test_end_that_is_lost_with_its_relay_comes_again(
    make_relay: MakeRelay,
    broker: Broker,
    writer: Writer,
    stream: Stream,
    connection: asyncpg.Connection,
    backup: Backup,
    *,
    is_drained: bool,
) -> None:
    """What was published since the last entry that is left, trimmed or not, comes before what is new."""
    first = make_relay()
    await writer.publish(*range(10))
    await catch_up(first)
    await connection.execute(A_DAY_AGO)
    await writer.publish(10)
    await catch_up(first)
    if is_drained:
        await drain(broker)
    await backup.take()
    await writer.publish(*range(11, 20))
    await catch_up(first)

    kill(first)
    await backup.set_back()
    await writer.publish(*range(20, 30))
    await catch_up(make_relay())

    left = [] if is_drained else range(11)
    assert [*left, *range(10, 30)] == await stream.numbers()


async def test_last_batch_alone_is_missed(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection, backup: Backup
) -> None:
    """Of batches that were appended one right after the other the last one is lost: that shows."""
    metrics = Metrics()
    first = make_relay(batch_size=3)
    await writer.publish(*range(4))
    for _ in range(3):  # lead, read, append and read
        await first.step()
    await backup.take()
    await catch_up(first)
    marks = await connection.fetchval("SELECT count(DISTINCT processed_at) FROM outbox")

    kill(first)
    await backup.set_back()
    await catch_up(make_relay(metrics=metrics))

    assert 2 == marks
    assert 4 == recalled(metrics)  # with what was published just before
    assert [0, 1, 2, 0, 1, 2, 3] == await stream.numbers()


async def test_relay_that_has_led_before_finds_the_end_missing(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection, backup: Backup
) -> None:
    """What a standby remembers of its own time is too old to see it; the bookmark isn't."""
    standby, leader = make_relay(), make_relay()
    await writer.publish(*range(10))
    await catch_up(standby)
    kill(standby)
    await writer.publish(*range(10, 20))
    await catch_up(leader)
    await connection.execute(A_DAY_AGO)
    await writer.publish(20)
    await catch_up(leader)
    await backup.take()
    await writer.publish(*range(21, 30))
    await catch_up(leader)

    kill(leader)
    await backup.set_back()
    await catch_up(standby)

    assert [*range(21), *range(20, 30)] == await stream.numbers()


@pytest.mark.parametrize("unmarked", [0, 4])
async def test_taking_over_repeats_nothing_that_is_marked(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection, unmarked: int
) -> None:
    """Where nothing is lost nothing is recalled, whether the relay before had marked all or not."""
    metrics = Metrics()
    first = make_relay(batch_size=4)
    await writer.publish(*range(12))
    await catch_up(first)
    await connection.execute(
        "UPDATE outbox SET processed_at = NULL WHERE id IN"
        " (SELECT id FROM outbox ORDER BY created_at DESC LIMIT $1)",
        unmarked,
    )

    kill(first)
    await catch_up(make_relay(metrics=metrics))

    assert 0 == recalled(metrics)
    assert [*range(12), *range(12 - unmarked, 12)] == await stream.numbers()


async def test_bookmark_at_an_event_that_is_no_more(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection, backup: Backup
) -> None:
    """The event was deleted, or PostgreSQL lost it: then the time counts at which it was created."""
    first = make_relay()
    await writer.publish(*range(10))
    await catch_up(first)
    await connection.execute(A_DAY_AGO)
    await writer.publish(10)
    await catch_up(first)
    await backup.take()
    await connection.execute("DELETE FROM outbox WHERE created_at > now() - interval '1 hour'")
    await writer.publish(11)
    await catch_up(first)

    kill(first)
    await backup.set_back()
    await catch_up(make_relay())

    assert list(range(12)) == await stream.numbers()


@pytest.mark.parametrize("text", ["", "a word", "2 {id} {at}", "1 {id}-no-uuid {at}", "1 {id}"])
async def test_bookmark_that_says_nothing(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection, text: str
) -> None:
    """One of another division into partitions, or of somebody else's making, is passed over."""
    metrics = Metrics()
    first = make_relay()
    await writer.publish(*range(10))
    await catch_up(first)
    oldest = await connection.fetchval("SELECT id FROM outbox ORDER BY created_at LIMIT 1")
    await stream.redis.set(BOOKMARK, text.format(id=oldest, at="2026-11-23T12:00:00.123456Z"))

    kill(first)
    await catch_up(make_relay(metrics=metrics))

    assert 0 == recalled(metrics)


async def test_stream_that_was_deleted_while_nobody_relayed(
    make_relay: MakeRelay, writer: Writer, stream: Stream
) -> None:
    """The bookmark outlives a stream that somebody deletes: then what was published lately comes again."""
    first = make_relay()
    await writer.publish(*range(10))
    await catch_up(first)

    await first.close()
    await stream.redis.delete(STREAM)
    await writer.publish(10)
    await catch_up(make_relay())

    assert list(range(11)) == await stream.numbers()


def test_bookmark_is_read_as_it_was_written() -> None:
    """Its text holds all of it."""
    bookmark = Bookmark(3, "0199b1a0-0000-7000-8000-000000000000", "2026-11-23T12:00:00.123456Z")

    assert bookmark == Bookmark.parse(str(bookmark))
