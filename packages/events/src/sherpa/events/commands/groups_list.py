"""`groups list`: the handlers' groups in every partition, and how far each is."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from sherpa.config import RedisSettings, load
from sherpa.db.console import say
from sherpa.db.exitcodes import WELL
from sherpa.events.commands.tables import as_json, rows_as_text
from sherpa.events.operations.groups import Membership, list_groups
from sherpa.events.operations.settings import StreamSettings
from sherpa.events.operations.streams import open_broker

_HEAD = ("group", "partition", "lag", "pending", "consumers", "last delivered")


def run(arguments: argparse.Namespace) -> int:
    """List them, as a table or as JSON."""
    found = asyncio.run(_list(load(StreamSettings).redis))
    if arguments.json:
        say(json.dumps([as_json(each) for each in found], indent=2))
    else:
        say(rows_as_text([_HEAD, *map(_columns, found)]) if found else "There are no groups.")
    return WELL


async def _list(settings: RedisSettings) -> Sequence[Membership]:
    async with open_broker(settings, "groups") as broker:
        return await list_groups(broker)


def _columns(each: Membership) -> tuple[str, ...]:
    lag = "?" if each.lag is None else str(each.lag)
    return (
        each.name, str(each.partition), lag, str(each.pending), str(each.consumers), each.last_delivered_id
    )  # fmt: skip
