"""`groups forget NAME`: deletes what is left of a removed handler; the streams wait for it no more."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from sherpa.config import load
from sherpa.db.console import can_ask, complain, is_confirmed, say
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.events.brokers.broker import Broker
from sherpa.events.commands.tables import counted
from sherpa.events.operations.groups import Remains, find_remains, forget
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OperatorSettings
from sherpa.events.operations.streams import open_broker


def run(arguments: argparse.Namespace) -> int:
    """Ask, delete its groups and what it failed on, and say how much that was."""
    if not arguments.yes and not can_ask():
        complain("`groups forget` asks before. No terminal to ask at: add --yes.")
        return WRONG_USE
    settings = load(OperatorSettings)
    if not arguments.yes:
        found = asyncio.run(_with_both(settings, find_remains, arguments.name))
        undone = sum(each.pending + (each.lag or 0) for each in found.groups)
        if not is_confirmed(f"Forget {_in_words(arguments.name, found)}, with {undone} entries not handled?"):
            complain("Nothing was changed.")
            return FAILED
    done = asyncio.run(_with_both(settings, forget, arguments.name))
    say(f"Forgotten: {_in_words(arguments.name, done)}.")
    return WELL


def _in_words(name: str, remains: Remains) -> str:
    where = counted(len(remains.groups), "partition")
    return f"{name} in {where}, and {counted(remains.failed, 'event')} that it failed on"


async def _with_both(
    settings: OperatorSettings,
    act: Callable[[asyncpg.Connection, Broker, str], Awaitable[Remains]],
    name: str,
) -> Remains:
    async with (
        open_session(settings.database, "groups") as connection,
        open_broker(settings.redis, "groups") as broker,
    ):
        return await act(connection, broker, name)
