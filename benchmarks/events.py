"""What events cost: publishing, relaying, handling, and the time from COMMIT to the stream, side by side.

    uv run --isolated --group bench python benchmarks/events.py [--rounds 3] [--only ours floor …] [--json]

The floor is asyncpg and redis-py by hand; the rivals are pgqueuer, procrastinate and faststream-outbox, each
with the settings that it recommends, doing the same job. All run on the same two servers of the benchmark's
own, both durable (fsync on, AOF every second), on uvloop, in turn, each time on a fresh database. Workers are
processes of their own and are measured by what the servers show. Figures are medians of the rounds.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import events_contender as jobs
import events_table as rows
import uvloop
from events_contender import Contender
from events_contenders import absent, choose
from events_measuring import trial
from events_table import FLOOR, OURS, Measured, as_json, goals, table

from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer

POSTGRES_OPTIONS = {"shared_buffers": "256MB", "max_wal_size": "4GB", "autovacuum_naptime": "10s"}
VALKEY_OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
PUBLISHED_ONE, PUBLISHED_MANY = 4_000, 20_000
WORK = {
    rows.RELAY: jobs.RELAY,
    rows.TWO_RELAYS: jobs.TWO_RELAYS,
    rows.EACH: jobs.EACH,
    rows.BATCH: jobs.BATCH,
    rows.SET: jobs.SET,
}


@dataclass(frozen=True)
class Stand:
    """The two servers, by their addresses."""

    maintenance_url: str
    redis_url: str


async def run_round(
    stand: Stand, contenders: Mapping[str, Contender], measured: Measured, share: float
) -> None:
    """Let every contender do each row in turn, with this share of the events."""
    for row, count, per_transaction in (
        (rows.PUBLISH_ONE, PUBLISHED_ONE, 1),
        (rows.PUBLISH_MANY, PUBLISHED_MANY, 100),
    ):
        for key, contender in contenders.items():
            async with trial(key, contender, stand.maintenance_url, stand.redis_url) as one:
                measured.note(row, key, await one.publish(max(100, int(count * share)), per_transaction))
        _tick()
    for row, job in WORK.items():
        for key, contender in contenders.items():
            if job in contender.jobs:
                async with trial(key, contender, stand.maintenance_url, stand.redis_url, share=share) as one:
                    pace = await one.work(job)
                measured.note(row, key, pace.events_per_second)
                measured.note(rows.CORES.format(row=row), key, pace.busy_cores)
        _tick()
    for rate in rows.LATENCY_RATES:
        for key, contender in contenders.items():
            async with trial(key, contender, stand.maintenance_url, stand.redis_url, share=share) as one:
                p50, p99 = await one.latency(rate)
            measured.note(rows.P50.format(rate=rate), key, p50)
            measured.note(rows.P99.format(rate=rate), key, p99)
        _tick()


async def measure(stand: Stand, contenders: Mapping[str, Contender], options: argparse.Namespace) -> Measured:
    """Run the rounds."""
    measured = Measured()
    share = options.share
    deadline = time.monotonic() + 60 * options.minutes
    for _ in range(options.rounds):
        await run_round(stand, contenders, measured, share)
        if time.monotonic() > deadline:
            print(" out of time", end="", file=sys.stderr)
            break
    print(file=sys.stderr)
    return measured


@contextmanager
def running(folder: Path) -> Iterator[Stand]:
    """Start the servers, and stop them at the block's end."""
    postgres_port = ports.any_free()
    valkey_port = ports.any_free(avoid={postgres_port})
    password = folder.name
    postgres = PostgresServer(folder / "postgres", postgres_port, password, "benchmark", POSTGRES_OPTIONS)
    valkey = ValkeyServer(folder / "valkey", valkey_port, password, "benchmark", VALKEY_OPTIONS)
    try:
        postgres.start()
        valkey.start()
        where = f"{postgres.superuser}:{password}@{ports.LOOPBACK}:{postgres_port}"
        yield Stand(f"postgresql://{where}/postgres", f"redis://:{password}@{ports.LOOPBACK}:{valkey_port}/0")
    finally:
        postgres.stop()
        valkey.stop()


def _tick() -> None:
    print(".", end="", flush=True, file=sys.stderr)


def show(measured: Measured, contenders: Mapping[str, Contender], rivals: Sequence[str]) -> None:
    """Print the table, who is absent, and the goals."""
    print("\n".join(table(measured, {key: contender.name for key, contender in contenders.items()})))
    for key, reason in absent().items():
        print(f"{key}: {reason}")
    print()
    for goal, verdict in goals(measured, rivals):
        print(f"{goal}: {verdict}")


def main() -> None:
    """Start servers of our own, measure, print, and stop them."""
    parser = argparse.ArgumentParser(description="What events cost.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20, help="no round begins later than this")
    parser.add_argument(
        "--share", type=float, default=1.0, help="the share of the events: to see that it works"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="KEY", help="these contenders")
    parser.add_argument("--json", action="store_true", help="print JSON: every round")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    contenders = choose(options.only)
    rivals = [key for key in contenders if key not in {FLOOR, OURS}]
    with tempfile.TemporaryDirectory(prefix="events-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's servers run as somebody else, who must pass
        with running(folder) as stand, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(measure(stand, contenders, options))
    if options.json:
        print(json.dumps(as_json(measured, rivals, absent()), indent=2))
    else:
        show(measured, contenders, rivals)


if __name__ == "__main__":
    main()
