"""`prune`: deletes what has been kept for long enough, in chunks and with progress."""

import argparse
import asyncio
import time

from sherpa.config import DatabaseSettings, EventsSettings, load
from sherpa.db.console import report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.events import Progress
from sherpa.events.operations.retention import Rows, count_due, prune_step
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OutboxSettings


def run(arguments: argparse.Namespace) -> int:
    """Delete it, or say what is due."""
    settings = load(OutboxSettings)
    rows = asyncio.run(_prune(settings.database, settings.events, dry_run=arguments.dry_run))
    verb, days = "would be deleted" if arguments.dry_run else "deleted", settings.events
    outbox = f"published more than {days.outbox_retention_days} days ago"
    dedupe = f"handled more than {days.dedupe_retention_days} days ago"
    say(f"outbox            {rows.outbox:>10,} {verb} ({outbox})")
    say(f"processed_events  {rows.dedupe:>10,} {verb} ({dedupe})")
    say(f"in {describe_server(settings.database)}.")
    return WELL


async def _prune(database: DatabaseSettings, events: EventsSettings, *, dry_run: bool) -> Rows:
    async with open_session(database, "prune") as connection:
        due = await count_due(connection, events)
        if dry_run or not due:
            return due
        done, began = Rows(), time.monotonic()
        while step := await prune_step(connection, events):
            done += step
            speed = done.total / max(time.monotonic() - began, 1e-6)
            report(Progress("prune", done.total, max(due.total, done.total), speed))
        return done
