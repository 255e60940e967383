"""`groups forget NAME`: deletes the group of a handler that was removed; the streams wait for it no more."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from sherpa.config import load
from sherpa.db.console import can_ask, complain, is_confirmed, say
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.events.brokers.broker import Broker
from sherpa.events.commands.tables import counted
from sherpa.events.operations.groups import Membership, find_group, forget
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OperatorSettings
from sherpa.events.operations.streams import open_broker


def run(arguments: argparse.Namespace) -> int:
    """Ask, delete it in every partition, and say what is left to do."""
    if not arguments.yes and not can_ask():
        complain("`groups forget` asks before. No terminal to ask at: add --yes.")
        return WRONG_USE
    settings = load(OperatorSettings)
    found = asyncio.run(_find(settings, arguments.name))
    undone = sum(each.pending + (each.lag or 0) for each in found)
    where = counted(len(found), "partition")
    question = f"Forget {arguments.name} in {where}, with {undone} entries it has not handled?"
    if not arguments.yes and not is_confirmed(question):
        complain("Nothing was changed.")
        return FAILED
    done = asyncio.run(_forget(settings, arguments.name))
    say(f"{arguments.name} is forgotten in {counted(done, 'partition')}.")
    say(f"What it failed on is still kept: `dead-letters discard --handler {arguments.name}`.")
    return WELL


async def _find(settings: OperatorSettings, name: str) -> Sequence[Membership]:
    async with _open(settings) as (connection, broker):
        return await find_group(connection, broker, name)


async def _forget(settings: OperatorSettings, name: str) -> int:
    async with _open(settings) as (connection, broker):
        return await forget(broker, await find_group(connection, broker, name))


@asynccontextmanager
async def _open(settings: OperatorSettings) -> AsyncIterator[tuple[asyncpg.Connection, Broker]]:
    async with (
        open_session(settings.database, "groups") as connection,
        open_broker(settings.redis, "groups") as broker,
    ):
        yield connection, broker
