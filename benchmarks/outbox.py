"""Whether the outbox stays fast: the relay's batch beside what is kept and waits, retention, publishing.

    uv run python benchmarks/outbox.py [--full] [--kept 1000000] [--waiting 100000] [--batches 100]

One durable server of its own (fsync on) with two databases: one keeps nothing, and batches in the other take
turns with batches in that one, so that a busy machine slows both. The relay's own statements run on sessions
as the relay opens them, reading from the beginning each time. `--full` is 10 million published events and 1
million that wait: some five minutes and 6 GB.
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
SMALL, LARGE = "small", "postgres"
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
class Batches:
    """How long each read and each mark of a batch took, in milliseconds."""

    reads: list[float] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)

    @property
    def both(self) -> float:
        """The median of a read and a mark together."""
        return statistics.median(map(sum, zip(self.reads, self.marks, strict=True)))


@dataclass(frozen=True)
class Stage:
    """One state of the large outbox: its batches, and those of the small one at the same time."""

    name: str
    large: Batches = field(default_factory=Batches)
    small: Batches = field(default_factory=Batches)


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


async def measure_batches(small: DatabaseSettings, large: DatabaseSettings, name: str, batches: int) -> Stage:
    """Read and mark batches as the relay does, without a broker in between, in both outboxes in turn."""
    stage = Stage(name)
    for settings in (small, large):
        async with connected(settings) as connection:
            await fill(connection, batches * BATCH, days=0)
    sessions = [await open_session(settings, "benchmark", lambda: None) for settings in (small, large)]
    outboxes = [Outbox(session.connection, 0, 1) for session in sessions]
    pairs = list(zip(outboxes, (stage.small, stage.large), strict=True))
    for _ in range(batches):
        random.shuffle(pairs)
        for outbox, measured in pairs:
            batch = await timed(outbox.read(Bounds(), (), BATCH), measured.reads)
            await timed(outbox.mark(batch.ids), measured.marks)
    for session in sessions:
        await session.close()
    return stage


async def measure_outbox(
    small: DatabaseSettings, large: DatabaseSettings, options: argparse.Namespace
) -> Sequence[Stage]:
    """Measure batches in two small outboxes, beside what is kept, and beside what waits as well."""
    stages = [await measure_batches(small, large, "nothing", options.batches)]
    async with connected(large) as connection:
        await fill(connection, options.kept, days=KEPT_DAYS)
        await connection.execute("VACUUM (ANALYZE) outbox")
        stages.append(await measure_batches(small, large, f"{options.kept:,} kept", options.batches))
        await fill(connection, options.waiting, days=0)
    both = f"{options.kept:,} kept, {options.waiting:,} waiting"
    return [*stages, await measure_batches(small, large, both, options.batches)]


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
    """Print each stage's medians and 99th percentiles, and the ratio of its batch to the small outbox's."""
    print(
        f"{'ms a batch of 500, beside':<40}{'read':>8}{'p99':>8}{'mark':>8}{'p99':>8}{'both':>8}{'ratio':>8}"
    )
    for stage in stages:
        columns = [
            figure
            for each in (stage.large.reads, stage.large.marks)
            for figure in (statistics.median(each), p99(each))
        ]
        figures = "".join(f"{each:>8.1f}" for each in (*columns, stage.large.both))
        print(f"{stage.name:<40}{figures}{stage.large.both / stage.small.both:>8.2f}")


def p99(times: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(times)[len(times) * 99 // 100]


async def measure(small: DatabaseSettings, large: DatabaseSettings, options: argparse.Namespace) -> None:
    """Measure all, and print each as soon as it is known."""
    async with connected(large) as connection:
        await connection.execute(f"CREATE DATABASE {SMALL}")
    for settings in (small, large):
        await migrate(settings)
    print_stages(await measure_outbox(small, large, options))
    async with connected(large) as connection:
        chunks, nothing = await measure_retention(connection)
    print(
        f"\nRetention: {len(chunks)} chunks of {CHUNK:,}: median {statistics.median(chunks):.1f} ms,"
        f" longest {max(chunks):.0f} ms; {nothing:.1f} ms where nothing is due."
    )
    for events in (1, 100):
        by_hand, published = await measure_publishing(small, options.batches * 3, events)
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
def own_server() -> Iterator[PostgresServer]:
    """Start a durable server of our own for the block."""
    with tempfile.TemporaryDirectory(prefix="outbox-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's server runs as somebody else, who must pass
        server = PostgresServer(folder / "server", ports.any_free(), "benchmark", folder.name, OPTIONS)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def settings_of(server: PostgresServer, database: str) -> DatabaseSettings:
    """Return how to reach a database of the server."""
    url = ServiceUrl(
        scheme="postgresql",
        host=ports.LOOPBACK,
        port=server.port,
        username=server.superuser,
        password=Secret(server.password),
        database=database,
    )
    return DatabaseSettings(url=url, ssl_mode=SslMode.DISABLE)


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
    with own_server() as server:
        small, large = (settings_of(server, database) for database in (SMALL, LARGE))
        asyncio.run(measure(small, large, options))


if __name__ == "__main__":
    main()
