"""`migrate --dry-run`: prints the SQL that migrating would send; nothing else goes to stdout."""

import argparse
import asyncio

from sherpa.config import load
from sherpa.db.console import complain, count, describe, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.dry_run import dry_run
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Print the SQL to stdout, and to stderr what is remarked meanwhile and the sum."""
    settings = load(MigrationSettings).database
    shown = asyncio.run(
        dry_run(
            settings,
            lambda script: say(f"{script}\n"),
            to=arguments.to,
            lock_wait_seconds=arguments.lock_wait,
            wait_seconds=arguments.wait,
            allow_out_of_order=arguments.allow_out_of_order,
            report=lambda event: complain(describe(event)),
        )
    )
    complain(f"{count(shown, 'to apply') or 'Nothing to apply'} in {describe_server(settings)}.")
    return WELL
