"""What a data migration costs it and the application: Batches against one UPDATE of the whole table.

    uv run python benchmarks/batches.py [--rows 1000000] [--rounds 3]

On one durable server of its own (fsync on), all ways in turn on a fresh table in each round. Beside each way
an application changes single rows, one after another; its longest wait is what its users notice.
"""

import argparse
import asyncio
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.events import ignore
from sherpa.db.migrations.migration import Run
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer

type Way = Callable[[asyncpg.Connection], Awaitable[None]]

UPDATE: Final = "UPDATE accounts SET balance = balance + 1"
TABLE: Final = """
DROP TABLE IF EXISTS accounts, migration_progress;
CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL DEFAULT 0, name TEXT NOT NULL);
INSERT INTO accounts SELECT n, 0, repeat(md5(n::text), 3) FROM generate_series(1, {rows}) AS n;
"""


@dataclass
class Measured:
    """One way's rounds: rows a second, and the application's waits in milliseconds."""

    rows_per_second: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


async def one_update(connection: asyncpg.Connection) -> None:
    """Change the whole table at once."""
    await connection.execute(UPDATE)


def batches(duty: float) -> Way:
    """Return the way of Batches that work for so much of the time."""

    async def walk(connection: asyncpg.Connection) -> None:
        statement = f"{UPDATE} WHERE id BETWEEN $1 AND $2"
        await Batches("accounts", "id", statement, duty=duty)(Run(connection, "001_walk", "forwards", ignore))

    return walk


WAYS: Final[Mapping[str, Way]] = {
    "one UPDATE": one_update,
    "Batches, duty 1": batches(1),
    "Batches, duty 0.5": batches(0.5),
}


async def change_rows(connection: asyncpg.Connection, rows: int, over: asyncio.Event) -> list[float]:
    """Be the application: change one row after another until it is over; return each wait in milliseconds."""
    waits = []
    while not over.is_set():
        started = time.perf_counter()
        await connection.execute(f"{UPDATE} WHERE id = $1", random.randint(1, rows))
        waits.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.005)
    return waits


async def measure(url: str, rows: int, rounds: int) -> Mapping[str, Measured]:
    """Run all ways in turn, in each round on a new table, beside the application at work."""
    measured = {name: Measured() for name in WAYS}
    application, migration = await asyncpg.connect(url), await asyncpg.connect(url)
    for _ in range(rounds):
        for name, way in WAYS.items():
            await migration.execute(TABLE.format(rows=rows))
            await migration.execute("VACUUM (ANALYZE) accounts")
            await migration.execute("CHECKPOINT")
            over = asyncio.Event()
            working = asyncio.create_task(change_rows(application, rows, over))
            started = time.perf_counter()
            await way(migration)
            measured[name].rows_per_second.append(rows / (time.perf_counter() - started))
            over.set()
            measured[name].waits += await working
    await application.close()
    await migration.close()
    return measured


def print_table(measured: Mapping[str, Measured]) -> None:
    """Print medians, ratios to the one UPDATE, and the application's waits."""
    floor = statistics.median(measured["one UPDATE"].rows_per_second)
    print(f"{'':<20}{'rows/s':>10}{'ratio':>8}{'application: p50':>20}{'p99':>10}{'longest':>12}")
    for name, each in measured.items():
        speed, waits = statistics.median(each.rows_per_second), sorted(each.waits)
        p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
        print(
            f"{name:<20}{speed:>10,.0f}{speed / floor:>8.2f}{p50:>17.1f} ms{p99:>7.1f} ms{waits[-1]:>9.0f} ms"
        )


def main() -> None:
    """Start a server of our own, measure, print, and stop it."""
    parser = argparse.ArgumentParser(description="What a data migration costs.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batches-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's server runs as somebody else, who must pass
        server = PostgresServer(folder / "server", ports.any_free(), "benchmark", folder.name)
        server.start()
        url = f"postgresql://{server.superuser}:{server.password}@{ports.LOOPBACK}:{server.port}/postgres"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            measured = asyncio.run(measure(url, options.rows, options.rounds))
        finally:
            server.stop()
    print_table(measured)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"\n{options.rows:,} rows; this process grew by {grown:.1f} MB, the application's part included.")


if __name__ == "__main__":
    main()
