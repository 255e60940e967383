"""`migrate --baseline ID`: adopts a database that others made, after checking that it is as ours would be."""

import argparse
import asyncio

from sherpa.config import load
from sherpa.db.console import complain, count, report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL, WRONG_USE
from sherpa.db.migrations.review.baseline import adopt
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Check it, record the migrations as applied, and name what is not ours."""
    if arguments.dry_run or arguments.allow_out_of_order:
        complain("--baseline applies nothing: give it alone, or with --wait and --lock-wait.")
        return WRONG_USE
    settings = load(MigrationSettings).database
    baseline = asyncio.run(
        adopt(
            settings,
            arguments.baseline,
            lock_wait_seconds=arguments.lock_wait,
            wait_seconds=arguments.wait,
            report=report,
        )
    )
    for migration_id in baseline.adopted:
        say(f"{migration_id:<32} adopted")
    if baseline.foreign:
        say(f"Not of our making, and left alone: {', '.join(baseline.foreign)}.")
    say(f"{count(baseline.adopted, 'adopted')} in {describe_server(settings)}.")
    return WELL
