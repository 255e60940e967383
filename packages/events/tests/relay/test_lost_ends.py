"""An end of the stream that is lost together with the relay that knew of it: the next one finds out."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up
from sherpa.events.brokers.broker import Broker
from sherpa.events.metrics import Metrics
from sherpa.events.relay.bookmark import Bookmark, bookmark_at
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


def recalled(metrics: Metrics, partition: int = 0) -> float:
    """Return how many events were published again."""
    labels = {"partition": str(partition)}
    return metrics.registry.get_sample_value("sherpa_events_recalled_total", labels) or 0.0


def kill(relay: Relay) -> None:
    """End a relay as kill -9 does: it looks at nothing any more, and its session ends."""
    relay._abandon()


async def drain(broker: Broker, partition: int = 0) -> None:
    """Be done with all that is there, as a group."""
    await broker.ensure_group(partition, "done")
    token = await broker.take(partition, "done")
    entries = await broker.read(partition, "done", "me", token, count=1000)
    await broker.acknowledge(partition, "done", [entry.id for entry in entries])
    await broker.trim(partition)


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


async def test_what_other_partitions_published_is_not_missed(make_relay: MakeRelay, writer: Writer) -> None:
    """Only what follows in the relay's own partition can be missing, however much others have published."""
    metrics = Metrics()
    for number in range(20):
        await writer.publish(number, aggregate=uuid4())
    relays = [make_relay(partition=each, partitions=2) for each in (0, 1)]
    for relay in relays:
        await catch_up(relay)

    kill(relays[0])
    await catch_up(make_relay(partitions=2, metrics=metrics))

    assert 0 == recalled(metrics)


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


@pytest.mark.parametrize(
    "text", ["", "a word", "2 {id} {at} {end}", "1 {id}-no-uuid {at} {end}", "1 {id} {at}", "1 {id} {at} 1-1"]
)
async def test_bookmark_that_says_nothing(
    make_relay: MakeRelay,
    broker: Broker,
    writer: Writer,
    stream: Stream,
    connection: asyncpg.Connection,
    text: str,
) -> None:
    """One of another division or of another end, or of somebody else's making, is passed over."""
    metrics = Metrics()
    first = make_relay(batch_size=3)
    await writer.publish(*range(10))
    await catch_up(first)
    oldest = await connection.fetchval("SELECT id FROM outbox ORDER BY created_at LIMIT 1")
    end = (await broker.state(0)).last_id
    await stream.redis.set(BOOKMARK, text.format(id=oldest, at="2026-11-23T12:00:00.123456Z", end=end))

    kill(first)
    await catch_up(make_relay(metrics=metrics))

    assert 0 == recalled(metrics)


async def test_release_that_leaves_no_bookmark_hides_nothing_and_repeats_nothing(
    make_relay: MakeRelay, writer: Writer, stream: Stream, backup: Backup
) -> None:
    """What it appended behind an old bookmark isn't taken for lost; what is lost of it comes again."""
    metrics = Metrics()
    first, earlier, second = make_relay(), make_relay(), make_relay(metrics=metrics)
    await writer.publish(*range(3))
    await catch_up(first)
    left = str(await stream.redis.get(BOOKMARK))
    await backup.take()
    kill(first)
    await writer.publish(*range(3, 6))
    await catch_up(earlier)
    await stream.redis.set(BOOKMARK, left)

    kill(earlier)
    await catch_up(second)
    repeated = recalled(metrics)
    kill(second)
    await backup.set_back()
    await catch_up(make_relay(metrics=metrics))

    assert (0, 6) == (repeated, recalled(metrics))
    assert [0, 1, 2, *range(6)] == await stream.numbers()


async def test_division_that_comes_back_repeats_nothing(
    make_relay: MakeRelay, broker: Broker, writer: Writer
) -> None:
    """What was published under another number of partitions in between isn't taken for lost."""
    metrics = Metrics()
    for division in (4, 1, 4):
        for number in range(20):
            await writer.publish(number, aggregate=uuid4())
        for each in range(4):
            await drain(broker, each)
        for each in range(division):
            relay = make_relay(partition=each, partitions=division, metrics=metrics)
            await catch_up(relay)
            kill(relay)

    assert 0 == sum(recalled(metrics, each) for each in range(4))


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
    """The relay's text and the broker's id hold all of it."""
    event = {"id": "0199b1a0-0000-7000-8000-000000000000", "occurred_at": "2026-11-23T12:00:00.123456Z"}

    assert Bookmark(3, event["id"], event["occurred_at"], "7-0") == Bookmark.parse(
        f"{bookmark_at(event, 3)} 7-0"
    )
