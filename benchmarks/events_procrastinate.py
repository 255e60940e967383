"""procrastinate in benchmarks/events.py: its tasks append to a stream, or do a handler's work.

It runs 30 jobs at a time and deletes what is done, its fastest settings. It fetches one job a statement. It
defers on its own connections, each call a transaction; so nothing ties a job to the caller's change.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from events_contender import EACH, INSERT_EFFECT, NOTE, RELAY, Place, Publish, body
from procrastinate import App, PsycopgConnector
from redis.asyncio import BlockingConnectionPool, Redis

TASK = "bench"
CONCURRENCY = 30


class Procrastinate:
    """procrastinate."""

    name = "procrastinate"
    streams: Sequence[str] = ("bench:procrastinate",)
    handles_streams = False
    jobs: Mapping[str, int] = {RELAY: 1_500, EACH: 1_500}

    async def prepare(self, place: Place) -> None:
        """Make its tables."""
        async with _app(place, 1).open_async() as app:
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def publisher(self, place: Place, connections: int) -> AsyncIterator[Publish]:
        """Defer on its own pool."""
        async with _app(place, connections).open_async() as app:
            deferrer = app.configure_task(TASK)

            async def publish(numbers: Sequence[int]) -> float:
                moment = time.monotonic()
                if len(numbers) == 1:
                    await deferrer.defer_async(text=body(numbers[0]))
                else:
                    await deferrer.batch_defer_async(*({"text": body(number)} for number in numbers))
                return moment

            yield publish

    async def work(self, place: Place, job: str) -> None:
        """Run its worker."""
        redis = Redis(connection_pool=BlockingConnectionPool.from_url(place.redis_url, max_connections=16))
        effects = await asyncpg.create_pool(place.database_url, min_size=8, max_size=8)
        app = _app(place, CONCURRENCY)

        async def relay(text: str) -> None:
            await redis.xadd(self.streams[0], {"payload": text})

        async def handle(text: str) -> None:
            async with effects.acquire() as connection, connection.transaction():
                await connection.execute(INSERT_EFFECT, json.loads(text)["number"], NOTE)

        app.task(name=TASK)(relay if job == RELAY else handle)
        async with app.open_async():
            await app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="always")

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the number in the payload."""
        return int(json.loads(fields[b"payload"])["number"])


def _app(place: Place, connections: int) -> App:
    return App(connector=PsycopgConnector(conninfo=place.database_url, min_size=1, max_size=connections))
