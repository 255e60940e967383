"""Order per aggregate, and nothing overlooked, when an event becomes visible later than younger ones."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.events.tests.relay.conftest import MakeRelay, Stream, catch_up
from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.errors import BrokerUnavailableError
from sherpa.events.relay import horizon, reading
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay
from sherpa.events.wakeup import CHANNEL, REPLAYED

WRITE = """
INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at)
SELECT gen_random_uuid(), 'test', $1, 'test.counted', jsonb_build_object('number', $2::int), clock_timestamp()
"""


class AwayBroker(MemoryBroker):
    """A broker that can't be reached for appends while it is away."""

    is_away = False

    async def append(self, *arguments: Any, **options: Any) -> Any:
        """Append, or fail."""
        if self.is_away:
            raise BrokerUnavailableError
        return await super().append(*arguments, **options)


type Session = Callable[[], Awaitable[asyncpg.Connection]]


@pytest.fixture
async def session(database_settings: DatabaseSettings) -> AsyncIterator[Session]:
    """Return a function that opens a session of its own, as another process has it."""
    opened: list[asyncpg.Connection] = []

    async def open_session() -> asyncpg.Connection:
        opened.append(await asyncpg.connect(**connect_options(database_settings, "test-writer")))
        return opened[-1]

    yield open_session
    for each in opened:
        await each.close()


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bounds move with every pass, and nothing be read from the beginning for safety's sake."""
    monkeypatch.setattr(reading, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FULL_PASS_SECONDS", 3600.0)
    monkeypatch.setattr(horizon, "MARGIN", timedelta())


async def write(connection: asyncpg.Connection, number: int, aggregate: UUID) -> None:
    """Write an event as it is written by whoever uses this table, in the open transaction if there is one."""
    await connection.execute(WRITE, aggregate, number)


@pytest.mark.usefixtures("bounded")
async def test_late_commit_is_not_overlooked(relay: Relay, session: Session, stream: Stream) -> None:
    """An event that becomes visible long after younger ones were published follows at once."""
    late, writer = await session(), await session()
    async with late.transaction():
        await write(late, 1, uuid4())
        for number in range(2, 6):
            await write(writer, number, uuid4())
            await catch_up(relay)

    await catch_up(relay)

    assert [2, 3, 4, 5, 1] == await stream.numbers()


@pytest.mark.usefixtures("bounded")
async def test_row_lock_order_is_kept(relay: Relay, session: Session, stream: Stream) -> None:
    """Of two writers of an aggregate, one behind the other's lock, the first one's event comes first.

    A cursor beyond the first event, which became visible while the relay was going on, would lose it here.
    """
    first, second, others = await session(), await session(), await session()
    aggregate = uuid4()
    transaction = first.transaction()
    await transaction.start()
    await write(first, 1, aggregate)
    for number in (101, 102, 103):
        await write(others, number, uuid4())
        await catch_up(relay)
    await transaction.commit()
    await write(second, 2, aggregate)

    await catch_up(relay)

    assert [101, 102, 103, 1, 2] == await stream.numbers()


@pytest.mark.usefixtures("bounded")
async def test_late_event_precedes_its_follower_in_a_backlog(
    make_relay: MakeRelay, session: Session, stream: Stream
) -> None:
    """An older event becomes visible between two batches of a backlog, then its follower: order is kept."""
    relay = make_relay(batch_size=2)
    late, writer = await session(), await session()
    aggregate = uuid4()
    transaction = late.transaction()
    await transaction.start()
    await write(late, 1, aggregate)
    for number in range(101, 109):
        await write(writer, number, uuid4())
    for _ in range(3):  # leads, reads 101 and 102, appends them and reads on
        await relay.step()
    await transaction.commit()
    await write(writer, 2, aggregate)

    await catch_up(relay)

    published = await stream.numbers()
    assert [1, 2] == [number for number in published if number < 100]
    assert list(range(101, 109)) == [number for number in published if number > 100]


@pytest.mark.usefixtures("bounded")
async def test_event_of_rolled_back_transaction_never_comes(
    relay: Relay, session: Session, stream: Stream
) -> None:
    """What was rolled back is not published, and does not hold up what was not."""
    broken, writer = await session(), await session()
    transaction = broken.transaction()
    await transaction.start()
    await write(broken, 1, uuid4())
    await write(writer, 2, uuid4())
    await catch_up(relay)
    await transaction.rollback()

    await write(writer, 3, uuid4())
    await catch_up(relay)

    assert [2, 3] == await stream.numbers()


async def test_event_of_a_clock_set_back_is_found_in_time(
    relay: Relay, session: Session, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is older than all bounds, which no rule foresees, is found by the next full pass."""
    monkeypatch.setattr(reading, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FULL_PASS_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FULL_PASS_SHARE", float("inf"))
    writer = await session()
    for number in range(3):
        await write(writer, number, uuid4())
        await catch_up(relay)
    await writer.execute(
        WRITE.replace("clock_timestamp()", "clock_timestamp() - interval '1 hour'"), uuid4(), 3
    )

    await catch_up(relay)

    assert [0, 1, 2, 3] == await stream.numbers()


async def test_event_older_than_its_transaction_is_found(
    relay: Relay, session: Session, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction looks at the clock before it has its number: such an event is not overlooked."""
    monkeypatch.setattr(reading, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "FULL_PASS_SECONDS", 3600.0)
    writer = await session()
    for number in range(3):
        await write(writer, number, uuid4())
        await catch_up(relay)
    await writer.execute(
        WRITE.replace("clock_timestamp()", "clock_timestamp() - interval '0.9 seconds'"), uuid4(), 3
    )

    await catch_up(relay)

    assert [0, 1, 2, 3] == await stream.numbers()


@pytest.mark.usefixtures("bounded")
async def test_event_that_was_not_appended_is_read_again(make_relay: MakeRelay, session: Session) -> None:
    """An event that was read when the broker went away is not behind the bound when it is back."""
    broker, writer = AwayBroker(), await session()
    relay = make_relay(at=broker)
    for number in range(3):
        await write(writer, number, uuid4())
        await catch_up(relay)
    broker.is_away = True
    await write(writer, 3, uuid4())
    away = [await relay.step() for _ in range(6)]
    broker.is_away = False

    await catch_up(relay)

    assert Outcome.BROKER_AWAY in away
    entries = await broker.peek(0, after="0-0", count=10)
    assert list(range(4)) == [json.loads((entry.fields or {})["payload"])["number"] for entry in entries]


@pytest.mark.usefixtures("bounded")
async def test_replayed_events_are_published_at_once(relay: Relay, session: Session, stream: Stream) -> None:
    """Events that wait again, though younger ones are published, are found when the replay tells of them."""
    writer = await session()
    for number in range(3):
        await write(writer, number, uuid4())
    await catch_up(relay)
    async with writer.transaction():
        await writer.execute("UPDATE outbox SET processed_at = NULL")
        await writer.execute("SELECT pg_notify($1, $2)", CHANNEL, REPLAYED)

    await catch_up(relay)  # its first statement brings the notification
    await catch_up(relay)

    assert [0, 1, 2, 0, 1, 2] == await stream.numbers()
