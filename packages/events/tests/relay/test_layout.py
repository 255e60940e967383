"""Partitions: each aggregate's events are in one stream, and no two divisions are ever mixed."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up, marked
from sherpa.events.brokers.broker import Broker
from sherpa.events.partitions import partition_of
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay

GROUP = "welcome"


async def drain(broker: Broker, partition: int) -> int:
    """Read and acknowledge all that is there for a group; return how much it was."""
    token = await broker.take(partition, GROUP)
    entries = await broker.read(partition, GROUP, "me", token, count=1_000)
    await broker.acknowledge(partition, GROUP, [entry.id for entry in entries])
    return len(entries)


async def test_two_relays_share_the_aggregates(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """With two partitions each relay publishes its aggregates' events, in order, and nobody the others'."""
    aggregates = [uuid4() for _ in range(20)]
    for number in range(100):
        await writer.publish(number, aggregate=aggregates[number % 20])

    for partition in range(2):
        await catch_up(make_relay(partition=partition, partitions=2))

    assert 100 == await marked(connection)
    for partition in range(2):
        numbers = await stream.numbers(partition)
        owners = {UUID(entry["aggregate_id"]) for entry in await stream.entries(partition)}
        assert sorted(numbers) == numbers
        assert {partition} == {await place(connection, owner) for owner in owners}
    assert 100 == len(await stream.numbers(0)) + len(await stream.numbers(1))


async def place(connection: asyncpg.Connection, aggregate: UUID) -> int:
    """Return an aggregate's partition of two."""
    return int(await connection.fetchval(f"SELECT {partition_of('$1::uuid', '2')}", aggregate))


async def test_relay_of_another_layout_waits(make_relay: MakeRelay) -> None:
    """While a relay of one partition leads, one of two takes no lead; once it has gone, it does."""
    one, two = make_relay(), make_relay(partition=1, partitions=2)
    await one.step()

    meanwhile = [await two.step(), await two.step()]
    await one.close()

    assert [Outcome.OTHER_LAYOUT, Outcome.OTHER_LAYOUT] == meanwhile
    assert Outcome.LEADING is await two.step()
    assert Outcome.OTHER_LAYOUT is await one.step()


async def test_layout_changes_when_streams_are_drained(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """From one partition to two and back: each time everything is handled before anything is published."""
    layouts = [1, 2, 1]
    for partition in range(2):
        await broker.ensure_group(partition, GROUP)
    published = 0
    for round_, partitions in enumerate(layouts):
        for number in range(10):
            await writer.publish(number, aggregate=uuid4())
        relays = [make_relay(partition=each, partitions=partitions) for each in range(partitions)]
        if round_:
            assert {Outcome.UNDRAINED} == {await waiting(relay) for relay in relays}
            assert published == await marked(connection)
            assert 10 == await drain(broker, 0) + await drain(broker, 1)
        for relay in relays:
            await catch_up(relay)
            await relay.close()
        published += 10
        assert published == await marked(connection)
        assert partitions == await broker.layout()


async def waiting(relay: Relay) -> Outcome:
    """Return what a relay comes to that has taken the lead."""
    assert Outcome.LEADING is await relay.step()
    return await relay.step()


async def test_layout_is_known_again_after_a_loss(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """When the broker has lost everything the relay fills it again, and says how events are divided."""
    relay = make_relay()
    await writer.publish(1)
    await catch_up(relay)
    await stream.redis.flushdb()
    await writer.publish(2)

    await catch_up(relay)

    assert [1, 2] == await stream.numbers()
    assert 1 == await broker.layout()


@pytest.mark.parametrize("partition", [-1, 1])
def test_partition_beyond_the_last_is_refused(partition: int, make_relay: MakeRelay) -> None:
    """A relay for a partition that there isn't would wait for events for ever."""
    with pytest.raises(ValueError, match="1 partitions"):
        make_relay(partition=partition)
