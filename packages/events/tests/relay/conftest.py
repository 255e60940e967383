"""Fixtures of the relay's tests: events that are written, relays that are stepped, streams that are read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from sherpa.config import DatabaseSettings, EventsSettings, RedisSettings
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.event import Event, Payload
from sherpa.events.metrics import Metrics
from sherpa.events.publishing import publish_all
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay

MOST_STEPS = 2_000


class Counted(Payload, frozen=True, kw_only=True):
    """A payload that tells its place."""

    event_type: ClassVar[str] = "test.counted"
    aggregate_type: ClassVar[str] = "test"
    number: int


class Writer:
    """Publishes events with rising numbers, as business code does."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.aggregate = uuid4()

    async def publish(self, *numbers: int, aggregate: UUID | None = None) -> None:
        """Publish in one transaction that commits."""
        async with self.database.transaction() as transaction:
            await self.publish_in(transaction, *numbers, aggregate=aggregate)

    async def publish_in(
        self, transaction: Transaction, *numbers: int, aggregate: UUID | None = None
    ) -> None:
        """Publish in a transaction of the caller's."""
        owner = aggregate or self.aggregate
        await publish_all(
            transaction, [Event(aggregate_id=owner, payload=Counted(number=number)) for number in numbers]
        )


@dataclass(frozen=True)
class Stream:
    """A partition's stream as any client of Redis sees it."""

    redis: Redis

    async def entries(self, partition: int = 0) -> list[dict[str, str]]:
        """Return the fields of all entries, in their order."""
        found: Any = await self.redis.xrange(f"sherpa:events:{partition}")
        return [fields for _, fields in found]

    async def numbers(self, partition: int = 0) -> list[int]:
        """Return the numbers that events tell."""
        return [json.loads(fields["payload"])["number"] for fields in await self.entries(partition)]


type MakeRelay = Callable[..., Relay]


@pytest.fixture
def writer(database: Database) -> Writer:
    """Return who publishes."""
    return Writer(database)


@pytest.fixture
async def broker(redis_settings: RedisSettings) -> AsyncIterator[Broker]:
    """Return a broker on the test's Redis."""
    broker = connect(redis_settings)
    yield broker
    await broker.close()


@pytest.fixture
async def stream(redis_url: str) -> AsyncIterator[Stream]:
    """Return who reads the streams."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        yield Stream(redis)


@pytest.fixture
async def make_relay(database_settings: DatabaseSettings, broker: Broker) -> AsyncIterator[MakeRelay]:
    """Return a function that makes a relay on the test's servers; all are closed after the test."""
    made: list[Relay] = []

    def make(
        *,
        partition: int = 0,
        at: Broker = broker,
        metrics: Metrics | None = None,
        groups: Sequence[str] = (),
        **settings: Any,
    ) -> Relay:
        relay = Relay(
            database_settings,
            at,
            partition=partition,
            settings=EventsSettings(**settings),
            metrics=metrics,
            groups=groups,
        )
        made.append(relay)
        return relay

    yield make
    for relay in made:
        await relay.close()


@pytest.fixture
def relay(make_relay: MakeRelay) -> Relay:
    """Return a relay with the default settings."""
    return make_relay()


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    """Run relays for the block, and stop them cleanly."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for relay in relays:
            tasks.create_task(relay.run(stop))
        try:
            yield
        finally:
            stop.set()


async def catch_up(relay: Relay) -> list[Outcome]:
    """Step a relay until nothing is left to do; return the outcomes."""
    outcomes: list[Outcome] = []
    for _ in range(MOST_STEPS):
        outcomes.append(await relay.step())
        if outcomes[-1] is Outcome.IDLE:
            return outcomes
    pytest.fail(f"The relay had not caught up after {MOST_STEPS} steps: {outcomes[-10:]}")


async def marked(connection: asyncpg.Connection) -> int:
    """Return how many events are marked as published."""
    return int(await connection.fetchval("SELECT count(*) FROM outbox WHERE processed_at IS NOT NULL"))
