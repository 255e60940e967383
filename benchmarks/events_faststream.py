"""faststream-outbox in benchmarks/events.py: its relay to a Redis stream, and its handler of rows in place.

Its settings are those of its page on performance: four workers, 100 rows fetched at a time, and as many
deleted at a time; the driver is asyncpg, which lets it listen.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from events_contender import EACH, INSERT_EFFECT, NOTE, RELAY, Place, Publish, body
from faststream import FastStream
from faststream.redis import RedisBroker
from faststream_outbox import OutboxBroker, make_outbox_table, outbox_autovacuum_ddl
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

QUEUE = "bench"
METADATA = MetaData()
TABLE = make_outbox_table(METADATA, table_name="faststream_outbox")
WORKERS, AT_ONCE = 4, 100


class FaststreamOutbox:
    """faststream-outbox."""

    name = "faststream-outbox"
    streams: Sequence[str] = ("bench:faststream",)
    handles_streams = False
    jobs: Mapping[str, int] = {RELAY: 6_000, EACH: 6_000}

    async def prepare(self, place: Place) -> None:
        """Make its table, with the autovacuum settings that it recommends."""
        engine = _engine(place)
        async with engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            await connection.execute(text(outbox_autovacuum_ddl(TABLE.name)))
        await engine.dispose()

    @asynccontextmanager
    async def publisher(self, place: Place, connections: int) -> AsyncIterator[Publish]:
        """Publish in a transaction of SQLAlchemy's."""
        engine = _engine(place, connections)
        broker = OutboxBroker(engine, outbox_table=TABLE)

        async def publish(numbers: Sequence[int]) -> float:
            async with engine.begin() as connection:
                bodies = [json.loads(body(number)) for number in numbers]
                if len(bodies) == 1:
                    await broker.publish(bodies[0], queue=QUEUE, session=connection)
                else:
                    await broker.publish_batch(*bodies, queue=QUEUE, session=connection)
                return time.monotonic()

        async with broker:
            yield publish
        await engine.dispose()

    async def work(self, place: Place, job: str) -> None:
        """Relay to a stream as its tutorial does, or run a handler with a transaction of its own."""
        outbox = OutboxBroker(_engine(place), outbox_table=TABLE, logger=None)
        redis = RedisBroker(place.redis_url, logger=None)
        pool = await asyncpg.create_pool(place.database_url, min_size=WORKERS, max_size=WORKERS)
        subscriber = outbox.subscriber(
            QUEUE, max_workers=WORKERS, fetch_batch_size=AT_ONCE, terminal_flush_batch_size=AT_ONCE
        )

        async def relay(message: dict[str, Any]) -> dict[str, Any]:
            return message

        async def handle(message: dict[str, Any]) -> None:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(INSERT_EFFECT, message["number"], NOTE)

        if job == RELAY:
            redis.publisher(stream=self.streams[0])(subscriber(relay))
        else:
            subscriber(handle)
        await FastStream(outbox, on_startup=[redis.connect], logger=None).run()

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the number in the message, which FastStream wraps in an envelope of its own."""
        envelope = fields[b"__data__"]
        return int(json.loads(envelope[envelope.index(b'{"number"') :])["number"])


def _engine(place: Place, connections: int = WORKERS) -> AsyncEngine:
    url = place.database_url.replace("postgresql://", "postgresql+asyncpg://")
    return create_async_engine(url, pool_size=connections + 4)
