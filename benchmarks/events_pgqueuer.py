"""pgqueuer in benchmarks/events.py: its jobs append to a stream, or do a handler's work.

It takes batches of 100 jobs, which its own benchmark does, on an asyncpg pool and uvloop.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from events_contender import EACH, INSERT_EFFECT, NOTE, RELAY, Place, Publish, body
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from redis.asyncio import BlockingConnectionPool, Redis

ENTRYPOINT = "bench"
BATCH_SIZE, CONNECTIONS = 100, 10


class Pgqueuer:
    """pgqueuer."""

    name = "pgqueuer"
    streams: Sequence[str] = ("bench:pgqueuer",)
    handles_streams = False
    jobs: Mapping[str, int] = {RELAY: 10_000, EACH: 6_000}

    async def prepare(self, place: Place) -> None:
        """Make its tables."""
        connection = await asyncpg.connect(place.database_url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    @asynccontextmanager
    async def publisher(self, place: Place, connections: int) -> AsyncIterator[Publish]:
        """Enqueue in a transaction of a pooled connection."""
        async with asyncpg.create_pool(
            place.database_url, min_size=connections, max_size=connections
        ) as pool:

            async def publish(numbers: Sequence[int]) -> float:
                async with pool.acquire() as connection, connection.transaction():
                    queries = Queries(AsyncpgDriver(connection))
                    payloads = [body(number).encode() for number in numbers]
                    if len(payloads) == 1:
                        await queries.enqueue(ENTRYPOINT, payloads[0])
                    else:
                        count = len(payloads)
                        await queries.enqueue([ENTRYPOINT] * count, list(payloads), [0] * count)
                    return time.monotonic()

            yield publish

    async def work(self, place: Place, job: str) -> None:
        """Run its queue manager."""
        redis = Redis(connection_pool=BlockingConnectionPool.from_url(place.redis_url, max_connections=16))
        effects = await asyncpg.create_pool(place.database_url, min_size=CONNECTIONS, max_size=CONNECTIONS)
        jobs = await asyncpg.create_pool(place.database_url, min_size=CONNECTIONS, max_size=CONNECTIONS)
        queuer = PgQueuer.from_asyncpg_pool(jobs)

        async def relay(task: Job) -> None:
            await redis.xadd(self.streams[0], {"payload": task.payload or b""})

        async def handle(task: Job) -> None:
            async with effects.acquire() as connection, connection.transaction():
                await connection.execute(INSERT_EFFECT, json.loads(task.payload or b"")["number"], NOTE)

        queuer.entrypoint(ENTRYPOINT)(relay if job == RELAY else handle)
        await queuer.run(batch_size=BATCH_SIZE)

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the number in the payload."""
        return int(json.loads(fields[b"payload"])["number"])
