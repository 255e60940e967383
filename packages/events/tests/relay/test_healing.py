"""Data that the broker loses under a living relay: what handlers may not have had comes again, and first."""

from datetime import timedelta

import asyncpg
import pytest
from redis.asyncio import Redis

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up, marked
from sherpa.events.brokers.broker import Broker, PartitionState
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.errors import BrokerUnavailableError, FencedError
from sherpa.events.metrics import Metrics
from sherpa.events.relay import healing
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay

STREAM = "sherpa:events:0"


async def handle(broker: Broker, group: str, count: int) -> None:
    """Read and acknowledge as a group does."""
    await broker.ensure_group(0, group)
    token = await broker.take(0, group)
    entries = await broker.read(0, group, "me", token, count=count)
    await broker.acknowledge(0, group, [entry.id for entry in entries])


def recalled(metrics: Metrics) -> float:
    """Return how many events were published again."""
    return metrics.registry.get_sample_value("sherpa_events_recalled_total", {"partition": "0"}) or 0.0


async def look(relay: Relay) -> Outcome:
    """Step a relay that looks at the stream whatever it knows."""
    assert relay._term is not None
    relay._term._capacity.forget()
    return await relay.step()


async def test_what_was_flushed_comes_before_what_is_new(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Nobody has handled anything: after a FLUSHALL all of it is appended again, then what is younger."""
    metrics = Metrics()
    relay = make_relay(metrics=metrics)
    await writer.publish(*range(10))
    await catch_up(relay)

    await stream.redis.flushdb()
    await writer.publish(*range(10, 20))
    await catch_up(relay)

    assert list(range(20)) == await stream.numbers()
    assert 20 == await marked(connection)
    assert 10 == recalled(metrics)


async def test_flush_is_noticed_without_anything_new(relay: Relay, writer: Writer, stream: Stream) -> None:
    """A relay that has nothing to append sees the loss at its next look, and does not think it done with."""
    await writer.publish(*range(10))
    await catch_up(relay)

    await stream.redis.flushdb()
    await look(relay)
    await catch_up(relay)

    assert list(range(10)) == await stream.numbers()


async def test_end_that_is_lost_comes_again(
    relay: Relay, broker: Broker, writer: Writer, stream: Stream, redis_url: str
) -> None:
    """A server that is set back some entries, its roles still right, gets them before anything new."""
    await broker.ensure_group(0, "slow")
    await writer.publish(*range(10))
    await catch_up(relay)
    async with Redis.from_url(redis_url) as redis:
        before = await redis.dump(STREAM) or b""
    await writer.publish(*range(10, 20))
    await catch_up(relay)

    async with Redis.from_url(redis_url) as redis:
        await redis.restore(STREAM, 0, before, replace=True)
    await writer.publish(*range(20, 30))
    await catch_up(relay)

    numbers = await stream.numbers()
    assert list(range(10)) == numbers[:10]
    assert list(range(30)) == numbers[10:]


async def test_end_that_is_lost_is_refused(broker: Broker, stream: Stream) -> None:
    """Who takes the stream for longer than it is appends nothing."""
    token = await broker.take(0, "relay")
    end = await broker.append(0, token, [{"id": "1"}])
    await broker.append(0, token, [{"id": "2"}], after=end)
    await stream.redis.delete(STREAM)

    with pytest.raises(FencedError):
        await broker.append(0, token, [{"id": "3"}], after=end)

    assert 0 == await stream.redis.exists(STREAM)


async def test_what_all_groups_had_stays_away(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Only from the oldest event on that some group still needed: the rest is long done."""
    relay = make_relay()
    await broker.ensure_group(0, "slow")
    await writer.publish(*range(10))
    await catch_up(relay)
    await handle(broker, "slow", 10)
    await connection.execute(  # an hour ago
        "UPDATE outbox SET processed_at = processed_at - interval '1 hour',"
        " created_at = created_at - interval '1 hour'"
    )
    await look(relay)
    await writer.publish(*range(10, 20))
    await catch_up(relay)

    await stream.redis.flushdb()
    await catch_up(relay)
    await look(relay)
    await catch_up(relay)

    assert list(range(10, 20)) == await stream.numbers()


async def test_groups_are_there_before_the_first_event(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """A group that is slow to come back finds all events, however soon another one is done with them."""
    relay = make_relay()
    for group in ("quick", "slow"):
        await broker.ensure_group(0, group)
    await writer.publish(*range(10))
    await catch_up(relay)

    await stream.redis.flushdb()
    await writer.publish(10)
    await catch_up(relay)
    await handle(broker, "quick", 100)
    await look(relay)

    assert list(range(11)) == await stream.numbers()
    assert ["quick", "slow"] == [group.name for group in (await broker.state(0)).groups]


async def test_own_groups_are_there_before_the_first_event(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """The handlers of the relay's own process miss nothing, whoever of them comes first."""
    relay = make_relay(groups=["quick", "slow"])
    await writer.publish(*range(10))
    await catch_up(relay)

    await handle(broker, "quick", 100)
    await look(relay)

    assert list(range(10)) == await stream.numbers()


async def test_loss_is_healed_by_the_next_session(
    relay: Relay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A relay whose session ends at the same moment knows in the next one what the broker held."""
    await writer.publish(*range(10))
    await catch_up(relay)

    await stream.redis.flushdb()
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'sherpa-relay-0' AND datname = current_database()"
    )
    await writer.publish(10)
    while await relay.step() is not Outcome.LEADING:
        pass
    await catch_up(relay)

    assert list(range(11)) == await stream.numbers()


async def test_loss_is_healed_before_the_lead_is_given_up(
    make_relay: MakeRelay, writer: Writer, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gives up the lead looks once more: the next relay appends in order what it can't know was lost."""
    monkeypatch.setattr(healing, "LATELY", timedelta(days=-1))  # by itself it would publish nothing again
    first = make_relay()
    await writer.publish(*range(10))
    await catch_up(first)

    await stream.redis.flushdb()
    await writer.publish(10)
    while await first.step() is not Outcome.FENCED:
        pass
    await first.close()
    await catch_up(make_relay())

    assert list(range(11)) == await stream.numbers()


@pytest.mark.parametrize("new", [0, 1])
async def test_what_is_lost_before_it_is_marked_is_not_marked(
    relay: Relay, writer: Writer, stream: Stream, connection: asyncpg.Connection, new: int
) -> None:
    """What the broker has confirmed and then lost is not published, whether a look or an append tells."""
    await writer.publish(*range(10))
    while not await stream.numbers():
        await relay.step()
    before = await marked(connection)

    await stream.redis.flushdb()
    await writer.publish(*range(10, 10 + new))
    await look(relay)
    await catch_up(relay)

    assert 0 == before
    assert list(range(10 + new)) == await stream.numbers()


async def test_broker_in_memory_loses_everything(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """Again and again: each time all that was not handled is there again."""
    broker = MemoryBroker()
    relay = make_relay(at=broker, batch_size=3)
    for round_ in range(1, 4):
        await writer.publish(*range(10))
        await catch_up(relay)
        broker.lose_everything()
        await look(relay)
        await catch_up(relay)

        assert 10 * round_ == (await broker.state(0)).length == await marked(connection)


async def test_too_old_events_stay_away(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """What is older than a replay may go back stays away: its handling may be forgotten."""
    relay = make_relay()
    await writer.publish(1, 2)
    await connection.execute("UPDATE outbox SET created_at = created_at - interval '15 days'")
    await writer.publish(3)
    await catch_up(relay)

    await stream.redis.flushdb()
    await catch_up(relay)
    await look(relay)
    await catch_up(relay)

    assert [3] == await stream.numbers()


async def test_relay_that_knows_nothing_warns(
    make_relay: MakeRelay,
    writer: Writer,
    stream: Stream,
    connection: asyncpg.Connection,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A relay that begins after the loss can't know since when: it takes minutes, and says what to do."""
    first = make_relay()
    await writer.publish(0)
    await catch_up(first)
    await connection.execute("UPDATE outbox SET processed_at = processed_at - interval '20 minutes'")
    await writer.publish(1)
    await catch_up(first)
    await first.close()
    await stream.redis.flushdb()

    await writer.publish(2)
    await catch_up(make_relay())

    assert [1, 2] == await stream.numbers()
    assert 1 == capsys.readouterr().out.count("inv events replay --since")


async def test_loss_is_seen_though_the_first_look_fails(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that comes back empty, and goes at once, is looked at when it is there, and as a new one."""
    await writer.publish(*range(10))
    first = make_relay()
    await catch_up(first)
    await first.close()
    await stream.redis.flushdb()
    relay = make_relay()

    async def fail(_partition: int) -> PartitionState:
        raise BrokerUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "state", fail)
        outcomes = [await relay.step(), await relay.step()]
    await catch_up(relay)

    assert Outcome.BROKER_AWAY is outcomes[-1]
    assert list(range(10)) == await stream.numbers()


async def test_new_broker_is_no_loss(
    relay: Relay, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing was ever published there is nothing to warn of."""
    await writer.publish(1)

    await catch_up(relay)

    assert "replay" not in capsys.readouterr().out
