"""What the broker has confirmed is marked, and nothing else; what is unknown is published again."""

import json
from collections.abc import Callable, Collection, Sequence

import asyncpg
import pytest

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up, marked
from sherpa.events.brokers.broker import BEGINNING, Fields, Token
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.errors import BrokerFullError, BrokerUnavailableError
from sherpa.events.metrics import Metrics
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay

BATCH = 10


class FailingBroker(MemoryBroker):
    """A broker that fails at some appends, counted from 1: `before` it does them, or `after`."""

    def __init__(
        self,
        error: Callable[[], Exception],
        *,
        before: Collection[int] = (),
        after: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.numbers: list[int] = []
        self.tokens: list[Token] = []
        self._error, self._before, self._after = error, before, after

    async def append(
        self,
        partition: int,
        token: Token,
        entries: Sequence[Fields],
        *,
        after: str = BEGINNING,
        bookmark: str = "",
    ) -> str:
        """Append, and fail where it is told to."""
        self.tokens.append(token)
        call = len(self.tokens)
        if call in self._before:
            raise self._error()
        last = await super().append(partition, token, entries, after=after, bookmark=bookmark)
        self.numbers += [json.loads(entry["payload"])["number"] for entry in entries]
        if call in self._after:
            raise self._error()
        return last


REFUSE_MARKS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE SQLSTATE '53100'; END$$;
CREATE TRIGGER refuse BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()
"""


async def test_nothing_is_appended_that_cant_be_marked(
    relay: Relay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A server that can't write keeps its events until it can: no copies of them fill the stream."""
    await writer.publish(1, 2, 3)
    await connection.execute(REFUSE_MARKS)

    outcomes = {await relay.step() for _ in range(10)}
    meanwhile = await stream.numbers()
    await connection.execute("DROP TRIGGER refuse ON outbox")
    await catch_up(relay)

    assert ({Outcome.LEADING, Outcome.DATABASE_AWAY}, []) == (outcomes, meanwhile)
    assert [1, 2, 3] == await stream.numbers()


async def test_everything_arrives_in_order(
    relay: Relay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Ten thousand events in transactions of 625 arrive once, in the order of their writing, all marked."""
    for start in range(0, 10_000, 625):
        await writer.publish(*range(start, start + 625))

    await catch_up(relay)

    assert list(range(10_000)) == await stream.numbers()
    assert 10_000 == await marked(connection)


async def test_entry_tells_all_that_was_published(
    relay: Relay, stream: Stream, connection: asyncpg.Connection
) -> None:
    """The JSON is passed on as PostgreSQL has it, and what is not set has no field."""
    payload = '{"name": "Zoë ✓", "big": 12345678901234567890.123456789, "none": null}'
    await connection.execute(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at, traceparent)"
        " VALUES ('00000000-0000-7000-8000-000000000001', 'test', '00000000-0000-7000-8000-00000000000a',"
        " 'test.counted', $1, '2026-01-02 03:04:05.6+00', '00-a-b-01')",
        payload,
    )

    await catch_up(relay)

    (entry,) = await stream.entries()
    assert json.loads(payload) == json.loads(entry.pop("payload"))
    assert {
        "id": "00000000-0000-7000-8000-000000000001",
        "type": "test.counted",
        "aggregate_type": "test",
        "aggregate_id": "00000000-0000-7000-8000-00000000000a",
        "occurred_at": "2026-01-02T03:04:05.600000Z",
        "schema_version": "1",
        "traceparent": "00-a-b-01",
    } == entry


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_unknown_outcome_is_published_again(
    failing: int, make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """An append that was done, but not confirmed, is done again: its events are never just marked."""
    broker = FailingBroker(BrokerUnavailableError, after=[failing])
    await writer.publish(*range(3 * BATCH))
    relay = make_relay(at=broker, batch_size=BATCH)

    outcomes = await catch_up(relay)

    start = (failing - 1) * BATCH
    assert [*range(start + BATCH), *range(start, 3 * BATCH)] == broker.numbers
    assert 3 * BATCH == await marked(connection)
    assert 1 == outcomes.count(Outcome.BROKER_AWAY)


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_failed_append_is_not_marked(
    failing: int, make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """At the moment of a failure those events are marked that were confirmed before it, and no others."""
    broker = FailingBroker(BrokerUnavailableError, before=[failing])
    await writer.publish(*range(3 * BATCH))
    relay = make_relay(at=broker, batch_size=BATCH)

    while await relay.step() is not Outcome.BROKER_AWAY:
        pass
    await relay.close()

    assert (failing - 1) * BATCH == await marked(connection) == len(broker.numbers)


async def test_token_is_new_after_unknown_outcome(make_relay: MakeRelay, writer: Writer) -> None:
    """An append that is still under way somewhere is fenced off before anything else is appended."""
    broker = FailingBroker(BrokerUnavailableError, before=[1])
    await writer.publish(1)

    await catch_up(make_relay(at=broker))

    assert 2 == len(set(broker.tokens))


async def test_full_broker_pauses_the_relay(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """A broker without room for a batch is no failure: the events wait in the outbox until it has room."""
    broker = FailingBroker(BrokerFullError, before=[2])
    await writer.publish(*range(3 * BATCH))
    relay = make_relay(at=broker, batch_size=BATCH)

    outcomes = await catch_up(relay)

    assert Outcome.PAUSED in outcomes
    assert Outcome.BROKER_AWAY not in outcomes
    assert list(range(3 * BATCH)) == broker.numbers
    assert 3 * BATCH == await marked(connection)


async def test_no_transaction_is_open_while_appending(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """While the broker takes its time, the relay's session is idle, outside of any transaction."""

    class LookingBroker(MemoryBroker):
        async def append(
            self,
            partition: int,
            token: Token,
            entries: Sequence[Fields],
            *,
            after: str = BEGINNING,
            bookmark: str = "",
        ) -> str:
            states.append(
                await connection.fetchval(
                    "SELECT state FROM pg_stat_activity WHERE application_name = 'sherpa-relay-0'"
                    " AND datname = current_database()"
                )
            )
            return await super().append(partition, token, entries, after=after, bookmark=bookmark)

    states: list[str] = []
    await writer.publish(1)

    await catch_up(make_relay(at=LookingBroker()))

    assert ["idle"] == states


async def test_marked_event_keeps_its_time(
    relay: Relay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """An event that somebody marked meanwhile is not given another time of publication."""
    await writer.publish(1)
    await relay.step()  # leads
    await relay.step()  # reads
    await connection.execute("UPDATE outbox SET processed_at = '2026-01-01 00:00:00+00'")

    await catch_up(relay)

    assert await connection.fetchval("SELECT processed_at = '2026-01-01 00:00:00+00' FROM outbox")


async def test_measures_count_what_is_published(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """Counter, latencies, batch sizes, leader and term say what the relay has done."""
    metrics = Metrics()
    await writer.publish(*range(3))
    await connection.execute("UPDATE outbox SET created_at = now() - interval '1 hour'")

    relay = make_relay(metrics=metrics)
    await catch_up(relay)

    partition = {"partition": "0"}

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"sherpa_events_{name}", partition)

    assert 3 == value("published_total") == value("publish_latency_seconds_count")
    assert 1 == value("relay_batch_size_count") == value("relay_leader") == value("relay_listening")
    assert 1 == value("relay_term")
    assert 3600 * 3 <= (value("publish_latency_seconds_sum") or 0) < 3600 * 4
    await relay.close()
    assert 0 == value("relay_leader") == value("relay_listening") == value("relay_term")


async def test_impossible_times_stop_nothing(
    make_relay: MakeRelay, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Events with a time that no clock shows, written by hand, are published like others."""
    moments = ["-infinity", "0044-03-15 12:00+00 BC", "2026-01-01+00", "10000-01-01+00", "infinity"]
    for number, moment in enumerate(moments):
        await connection.execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at) VALUES"
            " ('test', gen_random_uuid(), 'test.counted', jsonb_build_object('number', $1::int),"
            " $2::text::timestamptz)",
            number,
            moment,
        )

    await catch_up(make_relay(batch_size=1))

    assert [0, 1, 2, 3, 4] == await stream.numbers()
    assert 5 == await marked(connection)
