"""Fixtures of the handling tests: a real database, a broker, and handlers whose effects can be counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.broker import Broker, Fields
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.event import Payload, Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Backoff, Handler
from sherpa.events.handling.outcome import Outcome
from sherpa.events.metrics import Metrics

# No key on the event: an effect that happens twice must show.
MAKE_EFFECTS = (
    "CREATE TABLE effects (place bigserial, event_id uuid, aggregate_id uuid, handler text, number int)"
)
ADD_EFFECT = "INSERT INTO effects (event_id, aggregate_id, handler, number) VALUES ($1, $2, $3, $4)"


class Counted(Payload, frozen=True, kw_only=True):
    """What the tests' handlers take."""

    event_type: ClassVar[str] = "thing.counted"
    aggregate_type: ClassVar[str] = "thing"
    number: int


def entry(number: int = 1, *, aggregate_id: UUID | None = None, **fields: str) -> dict[str, str]:
    """Return a stream entry of a Counted event, with some fields as they are given."""
    return {
        "id": str(uuid7()),
        "type": "thing.counted",
        "aggregate_type": "thing",
        "aggregate_id": str(aggregate_id or uuid4()),
        "occurred_at": "2026-11-23T12:00:00.000000Z",
        "schema_version": "1",
        "payload": json.dumps({"number": number}),
        **fields,
    }


async def record(transaction: Transaction, event: Received[Counted]) -> None:
    """Have the effect."""
    await transaction.connection.execute(
        ADD_EFFECT, event.id, event.aggregate_id, "counter", event.payload.number
    )


async def record_set(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    """Have the effects of many events in one statement."""
    await transaction.connection.executemany(
        ADD_EFFECT, [(event.id, event.aggregate_id, "counter", event.payload.number) for event in events]
    )


COUNTER = Handler(
    name="counter",
    takes=(Counted,),
    handle=record,
    concurrency=2,
    backoff=Backoff(first_seconds=0.0, most_seconds=0.0),
)


@dataclass
class Stage:
    """A stream, what handles it, and what came of it."""

    database: Database
    connection: asyncpg.Connection
    broker: Broker = field(default_factory=MemoryBroker)
    metrics: Metrics = field(default_factory=Metrics)
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    consumers: list[Consumer] = field(default_factory=list)

    async def append(self, *entries: Fields) -> None:
        """Append to partition 0, as its relay."""
        await self.broker.append(0, await self.broker.take(0, "relay"), entries)

    def consumer(
        self,
        handler: Handler = COUNTER,
        *,
        handle: Callable[..., Awaitable[None]] | None = None,
        partition: int = 0,
        partitions: int = 1,
        **changes: Any,
    ) -> Consumer:
        """Return a consumer for the handler, changed so."""
        changes |= {"handle": handle} if handle else {}
        consumer = Consumer(
            replace(handler, **changes),
            partition,
            partitions=partitions,
            database=self.database,
            broker=self.broker,
            metrics=self.metrics,
            alone=self.alone,
        )
        self.consumers.append(consumer)
        return consumer

    async def drain(self, consumer: Consumer, *, steps: int = 1000) -> list[Outcome]:
        """Step until there is nothing to do; return the outcomes."""
        outcomes = []
        for _ in range(steps):
            outcomes.append(await consumer.step())
            if outcomes[-1] in {Outcome.IDLE, Outcome.STANDBY}:
                return outcomes
        pytest.fail(f"There is always something to do: {outcomes[-5:]}")

    async def effects(self, handler: str = "counter") -> list[int]:
        """Return the numbers of the effects in the order that they were made in."""
        rows = await self.connection.fetch(
            "SELECT number FROM effects WHERE handler = $1 ORDER BY place", handler
        )
        return [row["number"] for row in rows]

    async def failed(self, *columns: str) -> list[tuple[object, ...]]:
        """Return these columns of what failed, in the order of the stream."""
        rows = await self.connection.fetch(
            f"SELECT {', '.join(columns)} FROM failed_events ORDER BY handler_name, position"
        )
        return [tuple(row) for row in rows]

    async def pending(self, handler: str = "counter") -> int:
        """Return how many entries the handler's group has not acknowledged."""
        groups = (await self.broker.state(0)).groups
        return next(group.pending for group in groups if group.name == handler)

    async def discard(self, event_id: str, handler: str = "counter") -> None:
        """Discard a failed event, as an operator does."""
        await self.connection.execute("DELETE FROM failed_events WHERE event_id = $1", event_id)
        await self.connection.execute("INSERT INTO processed_events VALUES ($1, $2)", event_id, handler)

    async def be_due(self) -> None:
        """Let time pass: what is to be tried again is due."""
        await self.connection.execute(
            "UPDATE failed_events SET next_attempt_at = now() - interval '1 s' WHERE status = 'retrying'"
        )
        await self.connection.execute("NOTIFY sherpa_handlers")
        for consumer in self.consumers:
            await consumer.beat()  # the server tells a session what it has heard before it answers there
        await asyncio.sleep(0)


@pytest.fixture
async def effects_table(connection: asyncpg.Connection) -> None:
    """Make the table that the handlers have their effects in."""
    await connection.execute(MAKE_EFFECTS)


@pytest.fixture
async def stage(
    database_settings: DatabaseSettings, connection: asyncpg.Connection, effects_table: None
) -> AsyncIterator[Stage]:
    """Return a stage with the broker in memory."""
    settings = replace(database_settings, min_connections=0, max_connections=20)
    async with Database(settings, application_name="test") as database:
        stage = Stage(database, connection)
        yield stage
        for consumer in stage.consumers:
            await consumer.leave()
