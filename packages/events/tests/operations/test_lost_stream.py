"""The runbook "Redis lost data", with a real relay, real streams and a real handler."""

import asyncio
from typing import ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from packages.events.tests.operations.conftest import Run
from sherpa.config import DatabaseSettings, EventsSettings
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.broker import Broker
from sherpa.events.event import Event, Payload, Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Handler
from sherpa.events.metrics import Metrics
from sherpa.events.operations.deadletters import Which, discard, retry
from sherpa.events.operations.presence import leaders, owners
from sherpa.events.publishing import publish_all
from sherpa.events.relay.relay import Relay

AGGREGATE = uuid4()


class Counted(Payload, frozen=True, kw_only=True):
    """A payload that tells its place."""

    event_type: ClassVar[str] = "test.counted"
    aggregate_type: ClassVar[str] = "test"
    number: int


class Story:
    """Who publishes, and who handles; `refused` are the numbers that the handler fails on."""

    def __init__(self, database: Database, connection: asyncpg.Connection) -> None:
        self.database, self.connection = database, connection
        self.refused: set[int] = set()

    def handler(self) -> Handler:
        """Return a handler that notes each number, and gives up at once what it refuses."""
        return Handler(name="counter", takes=(Counted,), handle=self.note, attempts=1)

    async def publish(self, *numbers: int, aggregate: UUID = AGGREGATE) -> None:
        """Publish in one transaction."""
        async with self.database.transaction() as transaction:
            await publish_all(
                transaction, [Event(aggregate_id=aggregate, payload=Counted(number=each)) for each in numbers]
            )

    async def note(self, transaction: Transaction, event: Received[Counted]) -> None:
        """Have the effect."""
        if event.payload.number in self.refused:
            raise ValueError("refused")
        await transaction.connection.execute("INSERT INTO noted (number) VALUES ($1)", event.payload.number)

    async def noted(self) -> list[int]:
        """Return the numbers in the order of their effects."""
        return [
            row["number"] for row in await self.connection.fetch("SELECT number FROM noted ORDER BY place")
        ]

    async def dead(self) -> int:
        """Count the dead letters."""
        count: int = await self.connection.fetchval(
            "SELECT count(*) FROM failed_events WHERE status = 'dead'"
        )
        return count


@pytest.fixture
async def story(database: Database, connection: asyncpg.Connection) -> Story:
    """Return the story's people, with an empty list of effects."""
    await connection.execute(
        "CREATE TABLE noted (place bigserial, number int, CONSTRAINT noted_pkey PRIMARY KEY (place))"
    )
    return Story(database, connection)


def make_consumer(story: Story, broker: Broker) -> Consumer:
    """Return a consumer of the only partition."""
    return Consumer(
        story.handler(),
        0,
        partitions=1,
        database=story.database,
        broker=broker,
        metrics=Metrics(),
        alone=asyncio.Lock(),
    )


async def test_replay_brings_back_what_was_lost(
    story: Story, run: Run, broker: Broker, redis_url: str, database_settings: DatabaseSettings
) -> None:
    """Handled, lost, and new: after the replay each event has its effect once, the lost ones in order."""
    relay = Relay(database_settings, broker, settings=EventsSettings())
    consumer, stop = make_consumer(story, broker), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        relaying = tasks.create_task(relay.run(stop))
        handling = tasks.create_task(consumer.run(stop))
        await story.publish(1, 2, 3)
        await eventually(story.noted, [1, 2, 3])
        stop.set()
        await asyncio.wait({relaying, handling})

    # Published, and lost before anybody has handled it: only the relay runs.
    stop = asyncio.Event()
    relay = Relay(database_settings, broker, settings=EventsSettings())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run(stop))
        await story.publish(4, 5, 6)

        async def length() -> int:
            return (await broker.state(0)).length

        await eventually(
            lambda: story.connection.fetchval("SELECT count(*) FROM outbox WHERE processed_at IS NULL"), 0
        )
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        code, out, err = await run("replay", "--since", "1h")
        await story.publish(7)
        await eventually(length, 7)

        tasks.create_task(make_consumer(story, broker).run(stop))
        await eventually(story.noted, [1, 2, 3, 4, 5, 6, 7])
        stop.set()

    assert (0, "") == (code, err)
    assert "6 events wait in " in out


async def test_operators_decisions_reach_the_handler(
    story: Story, broker: Broker, database_settings: DatabaseSettings
) -> None:
    """Beside a running handler: what is retried runs, what is discarded makes way, and order is kept."""
    story.refused = {1, 11}
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(database_settings, broker, settings=EventsSettings()).run(stop))
        tasks.create_task(make_consumer(story, broker).run(stop))
        await story.publish(1, 2, 3)
        await eventually(story.dead, 1)
        story.refused = {11}
        assert [1] == [count async for count in retry(story.connection, Which(handler="counter"))]
        await eventually(story.noted, [1, 2, 3])

        await story.publish(11, 12, 13)
        await eventually(story.dead, 1)
        assert [1] == [count async for count in discard(story.connection, Which())]
        await eventually(story.noted, [1, 2, 3, 12, 13])
        running = [
            *await owners(story.connection, [("counter", 0)]),
            *await leaders(story.connection, [0], 1),
        ]
        stop.set()

    assert 0 == await story.connection.fetchval("SELECT count(*) FROM failed_events")
    assert [("counter", 0), 0] == running  # status finds them by the locks that they really take


async def test_old_events_go_before_those_written_after_the_replay(
    story: Story, run: Run, broker: Broker, redis_url: str, database_settings: DatabaseSettings
) -> None:
    """A relay that is long past them hears of a replay, and appends the old events first."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(database_settings, broker, settings=EventsSettings()).run(stop))
        await story.publish(*range(100))
        await eventually(
            lambda: story.connection.fetchval("SELECT count(*) FROM outbox WHERE processed_at IS NULL"), 0
        )
        async with Redis.from_url(redis_url, decode_responses=True) as redis:
            await redis.flushdb()
            await run("replay", "--since", "1h")
            await eventually(lambda: redis.xlen("sherpa:events:0"), 100)
        entries = await broker.peek(0, after="0-0", count=200)
        stop.set()

    wanted = await story.connection.fetch("SELECT id::text FROM outbox ORDER BY created_at, id")
    assert [row["id"] for row in wanted] == [entry.fields and entry.fields["id"] for entry in entries]
