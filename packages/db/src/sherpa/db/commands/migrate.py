"""`migrate`: applies the pending migrations."""

import argparse
import asyncio

from sherpa.config import load
from sherpa.db.console import count, report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Apply them, tell each, and sum up."""
    settings = load(MigrationSettings).database
    done = asyncio.run(
        migrate(
            settings,
            to=arguments.to,
            lock_wait_seconds=arguments.lock_wait,
            wait_seconds=arguments.wait,
            allow_out_of_order=arguments.allow_out_of_order,
            report=report,
        )
    )
    say(f"{count(done, 'applied') or 'Nothing to apply'} in {describe_server(settings)}.")
    return WELL
