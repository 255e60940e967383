"""What `dead-letters retry` and `discard` share: which are meant, the question, the progress, the sum."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import asyncpg

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import can_ask, complain, is_confirmed, report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.db.migrations.events import Progress
from sherpa.events.commands.tables import counted
from sherpa.events.errors import EventsError
from sherpa.events.operations.deadletters import Which, count_dead, find_or_refuse
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OutboxSettings


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done to dead letters, in the words of the command, of the question and of the sum."""

    command: str
    question: str
    done: str
    decide: Callable[[asyncpg.Connection, Which], AsyncIterator[int]]


def run_decision(arguments: argparse.Namespace, decision: Decision) -> int:
    """Ask, decide on what is meant, and sum up."""
    if fault := _misuse(arguments, decision):
        complain(fault)
        return WRONG_USE
    settings = load(OutboxSettings).database
    which = Which(arguments.event, arguments.handler)
    meant = asyncio.run(_count(settings, which))
    server = describe_server(settings)
    question = decision.question.format(meant=counted(meant, "dead letter"), server=server)
    if meant and not arguments.yes and not is_confirmed(question):
        complain("Nothing was changed.")
        return FAILED
    done = asyncio.run(_decide(settings, which, meant, decision)) if meant else 0
    say(f"{counted(done, 'dead letter')} {decision.done} in {server}.")
    return WELL


def _misuse(arguments: argparse.Namespace, decision: Decision) -> str | None:
    if arguments.all and (arguments.event or arguments.handler):
        return "--all is every dead letter of every handler: give it alone, or leave it out."
    if not (arguments.all or arguments.event or arguments.handler):
        return f"Which ones? `dead-letters {decision.command}` takes an ID, --handler NAME or --all."
    if not arguments.yes and not can_ask():
        return f"`dead-letters {decision.command}` asks before. No terminal to ask at: add --yes."
    return None


async def _count(settings: DatabaseSettings, which: Which) -> int:
    async with open_session(settings, "dead-letters") as connection:
        meant = await count_dead(connection, which)
        if meant or which.event_id is None:
            return meant
        alive = (await find_or_refuse(connection, which))[0]
        raise EventsError(
            f"The event {which.event_id} of {alive.handler_name} is no dead letter but {alive.status}: "
            f"{_WHAT_COMES[alive.status]}."
        )


_WHAT_COMES = {
    "retrying": "it runs again by itself",
    "waiting": "it runs when the one before it of its aggregate is handled or discarded",
}


async def _decide(settings: DatabaseSettings, which: Which, meant: int, decision: Decision) -> int:
    done, began = 0, time.monotonic()
    async with open_session(settings, "dead-letters") as connection:
        async for count in decision.decide(connection, which):
            done += count
            seconds = max(time.monotonic() - began, 1e-6)
            report(Progress(f"dead-letters {decision.command}", done, max(meant, done), done / seconds))
    return done
