"""The relay pauses before the broker is full: the outbox holds what comes then, and nothing is lost."""

import asyncpg
import pytest

from packages.events.tests.relay.conftest import MOST_STEPS, MakeRelay, Stream, Writer, catch_up, marked
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.relay import capacity
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay


async def until(relay: Relay, wanted: Outcome) -> None:
    """Step until a step has this outcome."""
    for _ in range(MOST_STEPS):
        if await relay.step() is wanted:
            return
    pytest.fail(f"The relay has never come to {wanted}.")


async def handle(broker: Broker, count: int) -> None:
    """Read and acknowledge as a group of one handler."""
    await broker.ensure_group(0, "welcome")
    token = await broker.take(0, "welcome")
    entries = await broker.read(0, "welcome", "me", token, count=count)
    await broker.acknowledge(0, "welcome", [entry.id for entry in entries])


async def test_stream_is_never_longer_than_allowed(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """The relay stops at the exact length, though it is no multiple of its batches."""
    await writer.publish(*range(100))

    await until(make_relay(stream_max_length=25, batch_size=10), Outcome.PAUSED)

    assert list(range(25)) == await stream.numbers()
    assert 25 == await marked(connection)


async def test_relay_goes_on_below_nine_tenths(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """After a pause so much must have been handled that the next pause is not at once."""
    await writer.publish(*range(30))
    relay = make_relay(stream_max_length=20)
    await until(relay, Outcome.PAUSED)

    await handle(broker, 2)
    at_nine_tenths = await relay.step()
    await handle(broker, 1)
    below = await relay.step()

    assert [Outcome.PAUSED, Outcome.MOVED] == [at_nine_tenths, below]
    await until(relay, Outcome.PAUSED)
    assert list(range(3, 23)) == await stream.numbers()


async def test_everything_arrives_through_pauses(
    make_relay: MakeRelay, broker: Broker, writer: Writer, connection: asyncpg.Connection
) -> None:
    """However often the relay has to pause for a slow handler, all events pass, none twice."""
    await writer.publish(*range(100))
    relay, seen = make_relay(stream_max_length=20, batch_size=7), 0
    await broker.ensure_group(0, "welcome")
    token = await broker.take(0, "welcome")

    while await relay.step() is not Outcome.IDLE:
        entries = await broker.read(0, "welcome", "me", token, count=3)
        await broker.acknowledge(0, "welcome", [entry.id for entry in entries])
        seen += len(entries)

    seen += len(await broker.read(0, "welcome", "me", token, count=1_000))
    assert 100 == seen == await marked(connection)


async def test_memory_pauses_the_relay(
    make_relay: MakeRelay, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its share of the broker's memory the relay pauses, long before the broker refuses."""
    monkeypatch.setattr(capacity, "LOOK_ENTRIES", 1)
    broker = MemoryBroker(room=100)
    await writer.publish(*range(100))

    await until(make_relay(at=broker, memory_share=0.5, batch_size=1), Outcome.PAUSED)

    assert 50 == (await broker.state(0)).length


async def test_handled_entries_are_trimmed(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """What every group is done with leaves the stream; what one has not read yet stays."""
    await writer.publish(*range(10))
    relay = make_relay()
    await broker.ensure_group(0, "slow")
    await catch_up(relay)
    await handle(broker, 10)
    token = await broker.take(0, "slow")
    entries = await broker.read(0, "slow", "me", token, count=4)
    await broker.acknowledge(0, "slow", [entry.id for entry in entries])

    await relay.close()
    await catch_up(relay)

    assert list(range(4, 10)) == await stream.numbers()
