"""sherpa.events in benchmarks/events.py: its publish, its relay, and its handlers of all three kinds."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from events_contender import (
    BATCH,
    EACH,
    INSERT_EFFECT,
    NOTE,
    RELAY,
    SET,
    TWO_RELAYS,
    Place,
    Publish,
    aggregate,
)

from sherpa.config import (
    DatabaseSettings,
    EventsSettings,
    RedisSettings,
    ServiceUrl,
    SslMode,
)
from sherpa.db.engine import Database
from sherpa.db.migrations.runner import migrate
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.event import Event, Payload, Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Handler, Kind
from sherpa.events.metrics import Metrics
from sherpa.events.publishing import publish_all
from sherpa.events.relay.relay import Relay


class Counted(Payload, frozen=True, kw_only=True):
    """The benchmark's event."""

    event_type: ClassVar[str] = "bench.counted"
    aggregate_type: ClassVar[str] = "bench"
    number: int
    tier: str = "premium"
    note: str = NOTE


class Ours:
    """sherpa.events."""

    name = "sherpa.events"
    streams: Sequence[str] = ("sherpa:events:0", "sherpa:events:1")
    handles_streams = True
    jobs: Mapping[str, int] = {RELAY: 100_000, TWO_RELAYS: 100_000, EACH: 6_000, BATCH: 15_000, SET: 40_000}

    async def prepare(self, place: Place) -> None:
        """Run the real migrations."""
        await migrate(_database_settings(place, 2))

    @asynccontextmanager
    async def publisher(self, place: Place, connections: int) -> AsyncIterator[Publish]:
        """Publish in a transaction of ours."""
        # One more than there are transactions: the wake-up goes over a connection of its own.
        settings = _database_settings(place, connections + 1)
        async with Database(settings, application_name="benchmark") as database:

            async def publish(numbers: Sequence[int]) -> float:
                async with database.transaction() as transaction:
                    await publish_all(transaction, [_event(number) for number in numbers])
                    return time.monotonic()

            yield publish

    async def work(self, place: Place, job: str) -> None:
        """Run a relay (each process that of its own partition), or a handler of a kind."""
        redis = RedisSettings(url=ServiceUrl.parse(place.redis_url))
        partitions = 2 if job == TWO_RELAYS else 1
        broker = connect(redis)
        if job in {RELAY, TWO_RELAYS}:
            await _relay(place, broker, partitions)
        else:
            await _handle(place, broker, job)

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the number in the payload."""
        return int(json.loads(fields[b"payload"])["number"])


def _event(number: int) -> Event[Counted]:
    return Event(aggregate_id=aggregate(number), payload=Counted(number=number))


def _database_settings(place: Place, connections: int) -> DatabaseSettings:
    return DatabaseSettings(
        url=ServiceUrl.parse(place.database_url),
        ssl_mode=SslMode.DISABLE,
        min_connections=1,
        max_connections=connections,
    )


async def _relay(place: Place, broker: Broker, partitions: int) -> None:
    settings = EventsSettings(partitions=partitions)
    partition = int(os.environ["BENCH_CHILD"])
    relay = Relay(_database_settings(place, 2), broker, partition=partition, settings=settings)
    await relay.run(asyncio.Event())


async def _handle(place: Place, broker: Broker, job: str) -> None:
    handler = {EACH: _each, BATCH: _batch, SET: _set}[job]
    async with Database(_database_settings(place, 10), application_name="benchmark") as database:
        consumer = Consumer(
            handler,
            0,
            partitions=1,
            database=database,
            broker=broker,
            metrics=Metrics(),
            alone=asyncio.Lock(),
        )
        await consumer.run(asyncio.Event())


async def _insert(transaction: Transaction, event: Received[Counted]) -> None:
    await transaction.connection.execute(INSERT_EFFECT, event.payload.number, event.payload.note)


async def _insert_all(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    await transaction.connection.execute(
        "INSERT INTO effects (number, note) SELECT unnest($1::bigint[]), $2",
        [event.payload.number for event in events],
        NOTE,
    )


_each = Handler(name="bench.each", takes=(Counted,), handle=_insert, concurrency=8)
_batch = Handler(name="bench.batch", takes=(Counted,), handle=_insert, kind=Kind.BATCH)
_set = Handler(name="bench.set", takes=(Counted,), handle=_insert_all, kind=Kind.SET)
