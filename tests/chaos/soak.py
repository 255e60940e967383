"""The long form of chaos: random faults for as long as you like, and a report.

    uv run nox -s soak [-- --minutes 60 --workers 3 --partitions 2 --rate 100 --seed N --report FILE]

Ends with 1 where an effect is missing, twice, of a rolled back transaction or out of order, where a fault was
not recovered from in time, or where something had to be started by hand.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rig.faults import ALL, Fault
from rig.ledger import TABLES, Verdict
from rig.report import Report, Sizes
from rig.servers import prepare
from rig.stand import Stand, opened

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import Session

CALM_SECONDS = (1.0, 8.0)
SIZES_EVERY_SECONDS = 30.0


async def soak(options: argparse.Namespace, prepared: Path, folder: Path, report: Report) -> None:
    """Produce, inflict faults until the time is over, and judge."""
    partitions = str(options.partitions)
    async with opened(prepared, folder, proxied=True, EVENTS_PARTITIONS=partitions) as stand:
        await stand.begin(workers=options.workers, rate=options.rate)
        measuring = asyncio.create_task(_measure(stand, report))
        try:
            await _suffer(stand, report, until=time.monotonic() + 60 * options.minutes)
            report.tally = await stand.stop_producing()
            await stand.check_books(report.tally)
            report.verdict = await stand.finish()
        finally:
            measuring.cancel()
            report.sizes.append(await Sizes.of(stand, report.seconds))


async def _suffer(stand: Stand, report: Report, *, until: float) -> None:
    while time.monotonic() < until:
        fault: Fault = random.choice(ALL)
        await fault.inflict(stand)
        await stand.recover(fault.name, within_seconds=fault.within_seconds)
        stand.crew.require_alive()
        report.recoveries[fault.name].append(stand.recoveries[-1][1])
        report.write()
        await asyncio.sleep(random.uniform(*CALM_SECONDS))


async def _measure(stand: Stand, report: Report) -> None:
    while True:
        report.sizes.append(await Sizes.of(stand, report.seconds))
        await asyncio.sleep(SIZES_EVERY_SECONDS)


def main() -> int:
    """Run, print the report, and return the exit code."""
    parser = argparse.ArgumentParser(description="Chaos for a long time.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--rate", type=float, default=100.0, help="transactions a second")
    parser.add_argument("--seed", type=int, default=None, help="the faults' order, to have it again")
    parser.add_argument("--report", type=Path, default=Path("soak-report.md"))
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    random.seed(seed)
    report = Report(
        options.report,
        f"{options.minutes:g} minutes, {options.workers} workers, "
        f"{options.partitions} partitions, {options.rate:g} transactions/s, seed {seed}",
    )
    session = Session.new(place.choose())
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    with session.join():
        try:
            prepared = asyncio.run(prepare(session, TABLES))
            asyncio.run(soak(options, prepared, folder, report))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs into the report
            report.failure = f"{type(error).__name__}: {error}"
    leftovers.end(session)
    is_good = report.verdict == Verdict() and not report.failure
    if is_good:
        shutil.rmtree(folder)
    else:
        report.logs = str(folder)
    sys.stdout.write(report.write())
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
