"""The floor of benchmarks/events.py: raw asyncpg and redis-py, as fast as they go, without any safety net.

It marks what it has appended and remembers what it has handled, as ours does; but there is no leader's watch,
no retry, no fence, no order within an aggregate, no dead letter.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from events_contender import BATCH, EACH, INSERT_EFFECT, NOTE, RELAY, SET, Place, Publish, aggregate, body
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from uuid_utils.compat import uuid7

TABLES = """
    CREATE TABLE floor_outbox (
        id uuid PRIMARY KEY, aggregate_type text, aggregate_id uuid, event_type text, payload jsonb,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(), processed_at timestamptz
    );
    CREATE INDEX ON floor_outbox (created_at, id) WHERE processed_at IS NULL;
    CREATE TABLE floor_processed (event_id uuid PRIMARY KEY);
"""
INSERT = """
    INSERT INTO floor_outbox (id, aggregate_type, aggregate_id, event_type, payload)
    SELECT id, 'bench', aggregate_id, 'bench.counted', payload::jsonb
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS e (id, aggregate_id, payload)
"""
INSERT_ONE = """
    INSERT INTO floor_outbox (id, aggregate_type, aggregate_id, event_type, payload)
    VALUES ($1, 'bench', $2, 'bench.counted', $3)
"""
SELECT = """
    SELECT id::text, aggregate_type, aggregate_id::text, event_type, payload::text,
           to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS occurred_at
    FROM floor_outbox WHERE processed_at IS NULL ORDER BY created_at, id LIMIT 500
"""
MARK = "UPDATE floor_outbox SET processed_at = now() WHERE id = ANY ($1::uuid[])"
PINNED = {"enable_bitmapscan": "off", "enable_seqscan": "off"}
REMEMBER_ONE = "INSERT INTO floor_processed VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1"
REMEMBER = "INSERT INTO floor_processed SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"
GROUP, HANDLED_AT_ONCE, CONNECTIONS = "bench", 100, 8
# No wake-up: it looks a thousand times a second, whatever that costs.
POLL_SECONDS = 0.001


class Floor:
    """asyncpg and redis-py by hand."""

    name = "floor: asyncpg + redis-py"
    streams: Sequence[str] = ("bench:floor",)
    handles_streams = True
    jobs: Mapping[str, int] = {RELAY: 60_000, EACH: 6_000, BATCH: 15_000, SET: 40_000}

    async def prepare(self, place: Place) -> None:
        """Make the tables."""
        connection = await asyncpg.connect(place.database_url)
        await connection.execute(TABLES)
        await connection.close()

    @asynccontextmanager
    async def publisher(self, place: Place, connections: int) -> AsyncIterator[Publish]:
        """Insert in a transaction of a pooled connection."""
        async with asyncpg.create_pool(
            place.database_url, min_size=connections, max_size=connections
        ) as pool:

            async def publish(numbers: Sequence[int]) -> float:
                async with pool.acquire() as connection, connection.transaction():
                    if len(numbers) == 1:
                        await connection.execute(INSERT_ONE, *_row(numbers[0]))
                    else:
                        rows = [_row(number) for number in numbers]
                        await connection.execute(
                            INSERT, *(list(column) for column in zip(*rows, strict=True))
                        )
                    return time.monotonic()

            yield publish

    async def work(self, place: Place, job: str) -> None:
        """Relay, or handle."""
        redis = Redis.from_url(place.redis_url, protocol=2)
        if job == RELAY:
            await _relay(place, redis, self.streams[0])
        else:
            await _handle(place, redis, self.streams[0], job)

    def number_of(self, fields: Mapping[bytes, bytes]) -> int:
        """Return the number in the payload."""
        return int(json.loads(fields[b"payload"])["number"])


def _row(number: int) -> tuple[UUID, UUID, str]:
    return uuid7(), aggregate(number), body(number)


async def _relay(place: Place, redis: Redis, stream: str) -> None:
    connection = await asyncpg.connect(place.database_url, server_settings=PINNED)
    while True:
        rows = await connection.fetch(SELECT)
        if not rows:
            await asyncio.sleep(POLL_SECONDS)
            continue
        pipeline = redis.pipeline(transaction=False)
        for row in rows:
            entry: dict[Any, Any] = dict(row)
            pipeline.xadd(stream, entry)
        await pipeline.execute()
        await connection.execute(MARK, [row["id"] for row in rows])


async def _handle(place: Place, redis: Redis, stream: str, job: str) -> None:
    try:
        await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
    except ResponseError as error:  # it is there from an earlier run
        if "BUSYGROUP" not in str(error):
            raise
    handle = {EACH: _each, BATCH: _batch, SET: _set}[job]
    async with asyncpg.create_pool(place.database_url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        while True:
            answer: Any = await redis.xreadgroup(
                GROUP, "one", {stream: ">"}, count=HANDLED_AT_ONCE, block=1000
            )
            for _, entries in answer:
                await handle(pool, entries)
                await redis.xack(stream, GROUP, *(entry[0] for entry in entries))


type Connection = PoolConnectionProxy[asyncpg.Record]
type Entries = Sequence[tuple[bytes, Mapping[bytes, bytes]]]


async def _each(pool: asyncpg.Pool, entries: Entries) -> None:
    await asyncio.gather(*(_one(pool, fields) for _, fields in entries))


async def _one(pool: asyncpg.Pool, fields: Mapping[bytes, bytes]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(REMEMBER_ONE, fields[b"id"].decode()):
            await connection.execute(INSERT_EFFECT, json.loads(fields[b"payload"])["number"], NOTE)


async def _batch(pool: asyncpg.Pool, entries: Entries) -> None:
    async with pool.acquire() as connection, connection.transaction():
        new = await _remember(connection, entries)
        for _, fields in entries:
            if fields[b"id"] in new:
                await connection.execute(INSERT_EFFECT, json.loads(fields[b"payload"])["number"], NOTE)


async def _set(pool: asyncpg.Pool, entries: Entries) -> None:
    async with pool.acquire() as connection, connection.transaction():
        new = await _remember(connection, entries)
        numbers = [json.loads(fields[b"payload"])["number"] for _, fields in entries if fields[b"id"] in new]
        await connection.execute(
            "INSERT INTO effects (number, note) SELECT unnest($1::bigint[]), $2", numbers, NOTE
        )


async def _remember(connection: Connection, entries: Entries) -> set[bytes]:
    rows = await connection.fetch(REMEMBER, sorted(fields[b"id"].decode() for _, fields in entries))
    return {str(row[0]).encode() for row in rows}
