"""What isolating a test costs: ours, rollback, plain clones, pytest-postgresql, pytest-django's flush.

    uv run --isolated --group bench python benchmarks/testdb.py [--tests 150] [--rounds 5]

Whole pytest runs on one server with the same options; rounds alternate between the contenders. A run's
figure is the median time from one test's end to the next one's. The table has the rounds' median, what of it
is above a test that is only rolled back, and the ratio to ours. Below stand a clone and its floor, `cp -r`.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from testdb_contenders import CONTENDERS

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.cluster import ROLE
from sherpa.devstack.harness.session import Session
from sherpa.devstack.harness.template import clone
from sherpa.devstack.harness.worker import Worker

WARM_UP = 10


def measure_run(folder: Path, environment: dict[str, str]) -> float:
    """Run a suite and return the milliseconds of a test, in the median."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{folder.name} failed:\n{ended.stdout}{ended.stderr}")
    ends = json.loads((folder / "ends.json").read_text())[WARM_UP:]
    gaps: list[float] = [1000 * (after - before) for before, after in pairwise(ends)]
    return statistics.median(gaps)


async def time_files(worker: Worker, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a clone, of its drop, and of `cp -r` and `rm -r` of its files."""
    maintenance = await worker.cluster.connect("postgres")
    template = await template_name(worker)
    number = await maintenance.fetchval("SELECT oid FROM pg_database WHERE datname = $1", template)
    files = worker.session.directory / "postgres" / "data" / "base" / str(number)
    copy = worker.session.directory / "copy"
    taken: dict[str, list[float]] = {name: [] for name in ("clone", "drop", "cp -r", "rm -r")}
    for _ in range(rounds):
        marks = [time.perf_counter()]
        await clone(maintenance, template, "timed", in_memory=worker.cluster.in_memory)
        marks.append(time.perf_counter())
        await maintenance.execute("DROP DATABASE timed")
        marks.append(time.perf_counter())
        await run("cp", "-r", files, copy)
        marks.append(time.perf_counter())
        await run("rm", "-r", copy)
        marks.append(time.perf_counter())
        for name, (start, end) in zip(taken, pairwise(marks), strict=True):
            taken[name].append(1000 * (end - start))
    await maintenance.close()
    return {name: statistics.median(times) for name, times in taken.items()}


async def run(*command: str | Path) -> None:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(*command)
    await process.wait()


async def template_name(worker: Worker) -> str:
    """Return the name of the session's template."""
    maintenance = await worker.cluster.connect("postgres")
    name: str = await maintenance.fetchval(
        "SELECT datname FROM pg_database WHERE datname LIKE 'template\\_%'"
    )
    await maintenance.close()
    return name


def run_rounds(worker: Worker, folder: Path, tests: int, rounds: int) -> dict[str, float]:
    """Run all contenders in turn, again and again; return each one's median milliseconds a test."""
    environment = {
        "BENCH_DATABASE": worker.cluster.settings(worker.lend().database).url.reveal(),
        "BENCH_MAINTENANCE": worker.cluster.superuser_settings("postgres").url.reveal(),
        "BENCH_TEMPLATE": asyncio.run(template_name(worker)),
        "BENCH_ROLE": ROLE,
    }
    taken: dict[str, list[float]] = {contender.name: [] for contender in CONTENDERS}
    for number, contender in enumerate(CONTENDERS):
        contender.write(folder / f"suite_{number}", tests + WARM_UP)
    for _ in range(rounds):
        for number, contender in enumerate(CONTENDERS):
            taken[contender.name].append(measure_run(folder / f"suite_{number}", environment))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return {name: statistics.median(times) for name, times in taken.items()}


def show(milliseconds: dict[str, float], files: dict[str, float]) -> None:
    """Print the tables."""
    floors = {contender.name: contender.floor for contender in CONTENDERS}
    over = {name: taken - milliseconds[floors[name]] for name, taken in milliseconds.items()}
    ours = over["ours, new connection"]
    print(f"{'':36}{'ms a test':>10}{'over rollback':>15}{'ours, new = 1':>15}")
    for name, taken in milliseconds.items():
        print(f"{name:36}{taken:10.2f}{over[name]:15.2f}{over[name] / ours:15.2f}")
    print()
    for step, floor in (("clone", "cp -r"), ("drop", "rm -r")):
        ratio = files[step] / files[floor]
        print(f"{step} {files[step]:.2f} ms, {floor} {files[floor]:.2f} ms: {ratio:.2f} times the floor")


def main() -> None:
    """Start servers of our own, measure, print, and stop them."""
    parser = argparse.ArgumentParser(description="What isolating a test costs.")
    parser.add_argument("--tests", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    session = Session.new(place.choose())
    worker = Worker(session, "main")
    try:
        with tempfile.TemporaryDirectory() as folder:
            milliseconds = run_rounds(worker, Path(folder), options.tests, options.rounds)
        show(milliseconds, asyncio.run(time_files(worker, 10 * options.rounds)))
    finally:
        worker.close()
        leftovers.end(session)


if __name__ == "__main__":
    main()
