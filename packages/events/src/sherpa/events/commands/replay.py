"""`replay`: publishes again what was published in a range of time; dedupe absorbs what was handled."""

import argparse
import asyncio

from sherpa.config import DatabaseSettings, EventsSettings, load
from sherpa.db.console import report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.events import Progress
from sherpa.events.commands.tables import rows_as_text
from sherpa.events.operations.moments import in_words
from sherpa.events.operations.replaying import Plan, Selection, plan_replay, replay
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OutboxSettings


def run(arguments: argparse.Namespace) -> int:
    """Say what is meant, mark it for the relay, and say what comes next."""
    settings = load(OutboxSettings)
    selection = Selection(
        since=arguments.since, types=arguments.type, aggregate_id=arguments.aggregate, to=arguments.to
    )
    asyncio.run(_replay(settings.database, settings.events, selection, dry_run=arguments.dry_run))
    return WELL


async def _replay(
    database: DatabaseSettings, events: EventsSettings, selection: Selection, *, dry_run: bool
) -> None:
    async with open_session(database, "replay") as connection:
        plan = await plan_replay(connection, selection, events)
        _tell(plan)
        if dry_run:
            say(f"{plan.count} events would be published again. Nothing was changed.")
            return
        done = await replay(connection, plan, _progress) if plan.count else 0
    say(f"{done} events wait in {describe_server(database)} to be published again by the relay.")
    if done:
        say("`status` shows them as pending; handlers pass over what they have done.")


def _tell(plan: Plan) -> None:
    say(f"Published from {in_words(plan.since)} to {in_words(plan.to)}:")
    if plan.by_type:
        say(rows_as_text([(f"  {name}", str(count)) for name, count in plan.by_type.items()]))
    if plan.too_old:
        say(
            f"Left out: {plan.too_old} events older than {in_words(plan.floor)} (EVENTS_REPLAY_DAYS),"
            f" which could take effect twice."
        )
    if plan.since < plan.kept_since:
        say(f"What was published before {in_words(plan.kept_since)} may have been pruned.")


def _progress(done: int, total: int, rows_per_second: float) -> None:
    report(Progress("replay", done, max(total, done), rows_per_second))
