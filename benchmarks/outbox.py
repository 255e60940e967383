"""Whether the outbox stays fast: the relay's batch beside what is kept and waits, retention, publishing.

    uv run python benchmarks/outbox.py [--full] [--kept 1000000] [--waiting 100000] [--batches 100]

One durable server of its own (fsync on), all migrations applied. The relay's own statements run on a session
as the relay opens it, reading from the beginning each time. `--full` is 10 million published events and 1
million that wait: some four minutes and 6 GB.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final
from uuid import uuid4

import asyncpg

from sherpa.config import DatabaseSettings, EventsSettings, Secret, ServiceUrl, SslMode
from sherpa.db.dsn import connect_options
from sherpa.db.engine import Database
from sherpa.db.migrations.runner import migrate
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.events.event import Event, Payload
from sherpa.events.operations.retention import CHUNK, prune_step
from sherpa.events.publishing import publish, publish_all
from sherpa.events.relay.horizon import Bounds
from sherpa.events.relay.outbox import Outbox
from sherpa.events.relay.session import open_session

BATCH: Final = 500
BLOCK: Final = 250_000
KEPT_DAYS: Final = 10
OPTIONS: Final = {"max_wal_size": "4GB"}

# Published evenly over the last days, each 50 ms after it was written: 350 bytes a row.
FILL: Final = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
SELECT 'membership', md5((n % 100000)::text)::uuid, 'membership.created',
    jsonb_build_object('tier', 'monthly', 'note', repeat(md5(n::text), 6)),
    written_at, CASE WHEN $3::float8 > 0 THEN written_at + interval '50 ms' END
FROM generate_series($1::bigint, $2::bigint) AS n,
    LATERAL (
        SELECT clock_timestamp() - make_interval(secs => $3::float8 * ($4::bigint - n) / $4)
    ) AS at (written_at)
"""
INSERT: Final = """
INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at)
SELECT unnest($1::uuid[]), 'bench', unnest($2::uuid[]), 'bench.done', unnest($3::jsonb[]), clock_timestamp()
"""


class Done(Payload, frozen=True, kw_only=True):
    """About 230 bytes of JSON."""

    event_type: ClassVar[str] = "bench.done"
    aggregate_type: ClassVar[str] = "bench"
    note: str = "x" * 216


@dataclass
class Stage:
    """One state of the table: how long each read and each mark of a batch took there, in milliseconds."""

    name: str
    reads: list[float] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)

    @property
    def batch(self) -> float:
        """The median of both together."""
        return statistics.median(map(sum, zip(self.reads, self.marks, strict=True)))


async def timed[T](work: Awaitable[T], into: list[float]) -> T:
    """Return what `work` returns, and add how many milliseconds it took."""
    began = time.perf_counter()
    result = await work
    into.append((time.perf_counter() - began) * 1000)
    return result


async def fill(connection: asyncpg.Connection, count: int, *, days: float) -> None:
    """Write so many events: published over the last days, or waiting where that is 0."""
    for first in range(1, count + 1, BLOCK):
        await connection.execute(FILL, first, min(count, first + BLOCK - 1), days * 86_400, count)


async def measure_batches(settings: DatabaseSettings, name: str, batches: int) -> Stage:
    """Read and mark batches as the relay does, without a broker in between."""
    stage = Stage(name)
    session = await open_session(settings, "benchmark", lambda: None)
    outbox = Outbox(session.connection, 0, 1)
    for _ in range(batches):
        batch = await timed(outbox.read(Bounds(), (), BATCH), stage.reads)
        await timed(outbox.mark(batch.ids), stage.marks)
    await session.close()
    return stage


async def measure_outbox(
    settings: DatabaseSettings, connection: asyncpg.Connection, options: argparse.Namespace
) -> Sequence[Stage]:
    """Measure batches in an empty table, beside what is kept, and beside what waits as well."""
    few = options.batches * BATCH
    await fill(connection, few, days=0)
    stages = [await measure_batches(settings, "empty", options.batches)]
    await fill(connection, options.kept, days=KEPT_DAYS)
    await connection.execute("VACUUM (ANALYZE) outbox")
    await fill(connection, few, days=0)
    stages.append(await measure_batches(settings, f"{options.kept:,} kept", options.batches))
    await fill(connection, options.waiting, days=0)
    both = f"{options.kept:,} kept, {options.waiting:,} waiting"
    stages.append(await measure_batches(settings, both, options.batches))
    return stages


async def measure_retention(connection: asyncpg.Connection) -> tuple[list[float], float]:
    """Prune until nothing is due; return the milliseconds of each chunk, and of finding nothing."""
    chunks: list[float] = []
    while await timed(prune_step(connection, EventsSettings()), chunks):
        pass
    return chunks[:-1], chunks[-1]


async def measure_publishing(settings: DatabaseSettings, rounds: int, events: int) -> tuple[float, float]:
    """Return the median milliseconds of a transaction with so many events: by hand, and published."""
    by_hand: list[float] = []
    published: list[float] = []
    async with Database(settings, application_name="benchmark") as database:
        ways = [(insert_by_hand, by_hand), (publish_events, published)]
        for _ in range(rounds):
            random.shuffle(ways)
            for way, times in ways:
                await timed(way(database, events), times)
    return statistics.median(by_hand), statistics.median(published)


async def insert_by_hand(database: Database, events: int) -> None:
    """Write rows with no more than SQL."""
    ids = [uuid4() for _ in range(events)]
    payload = f'{{"note":"{"x" * 216}"}}'
    async with database.transaction() as transaction:
        await transaction.connection.execute(INSERT, ids, ids, [payload] * events)


async def publish_events(database: Database, events: int) -> None:
    """Write the same by publishing."""
    made = [Event(aggregate_id=uuid4(), payload=Done()) for _ in range(events)]
    async with database.transaction() as transaction:
        if events == 1:
            await publish(transaction, made[0])
        else:
            await publish_all(transaction, made)


def print_stages(stages: Sequence[Stage]) -> None:
    """Print each stage's medians and 99th percentiles, and the ratio of its batch to the first one's."""
    print(f"{'ms a batch of 500':<44}{'read':>8}{'p99':>8}{'mark':>8}{'p99':>8}{'both':>8}{'ratio':>8}")
    for stage in stages:
        columns = [
            figure for each in (stage.reads, stage.marks) for figure in (statistics.median(each), p99(each))
        ]
        ratio = stage.batch / stages[0].batch
        print(
            f"{stage.name:<44}{''.join(f'{each:>8.1f}' for each in columns)}{stage.batch:>8.1f}{ratio:>8.2f}"
        )


def p99(times: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(times)[len(times) * 99 // 100]


async def measure(settings: DatabaseSettings, options: argparse.Namespace) -> None:
    """Measure all, and print each as soon as it is known."""
    await migrate(settings)
    async with connected(settings) as connection:
        print_stages(await measure_outbox(settings, connection, options))
        chunks, nothing = await measure_retention(connection)
    print(
        f"\nRetention: {len(chunks)} chunks of {CHUNK:,}: median {statistics.median(chunks):.1f} ms,"
        f" longest {max(chunks):.0f} ms; {nothing:.1f} ms where nothing is due."
    )
    for events in (1, 100):
        by_hand, published = await measure_publishing(settings, options.batches * 3, events)
        print(
            f"A transaction with {events} event(s): INSERT by hand {by_hand:.2f} ms,"
            f" published {published:.2f} ms, ratio {published / by_hand:.2f}."
        )


@asynccontextmanager
async def connected(settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Connect for filling, which does not wait for the disk."""
    options = connect_options(settings, "benchmark", server_settings={"synchronous_commit": "off"})
    connection = await asyncpg.connect(**options)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def own_server() -> Iterator[DatabaseSettings]:
    """Start a durable server of our own for the block."""
    with tempfile.TemporaryDirectory(prefix="outbox-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's server runs as somebody else, who must pass
        server = PostgresServer(folder / "server", ports.any_free(), "benchmark", folder.name, OPTIONS)
        server.start()
        url = ServiceUrl(
            scheme="postgresql",
            host=ports.LOOPBACK,
            port=server.port,
            username=server.superuser,
            password=Secret(server.password),
            database="postgres",
        )
        try:
            yield DatabaseSettings(url=url, ssl_mode=SslMode.DISABLE)
        finally:
            server.stop()


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Whether the outbox stays fast.")
    parser.add_argument("--full", action="store_true", help="10 million kept, 1 million waiting")
    parser.add_argument("--kept", type=int, default=1_000_000, help="published events in the table")
    parser.add_argument("--waiting", type=int, default=100_000, help="events that wait")
    parser.add_argument("--batches", type=int, default=100, help="batches in each stage")
    options = parser.parse_args()
    if options.full:
        options.kept, options.waiting = 10_000_000, 1_000_000
    with own_server() as settings:
        asyncio.run(measure(settings, options))


if __name__ == "__main__":
    main()
