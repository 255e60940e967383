"""`tail`: shows the events as they are published, until Ctrl-C. A broker that goes away is waited for."""

import argparse
import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from sherpa.config import load
from sherpa.db.console import complain, say
from sherpa.db.exitcodes import WELL
from sherpa.events.commands.tables import rows_as_text
from sherpa.events.errors import BrokerUnavailableError
from sherpa.events.operations.settings import StreamSettings
from sherpa.events.operations.streams import open_broker
from sherpa.events.operations.tailing import Filter, Tail

# Entries are deleted when all handlers have done them, looked for once a second: rarely within this time.
_POLL_SECONDS: Final = 0.02
_AWAY_SECONDS: Final = 1.0


def run(arguments: argparse.Namespace) -> int:
    """Follow; Ctrl-C is how it ends, and ends it well."""
    settings = load(StreamSettings)
    wanted = Filter(types=frozenset(arguments.type), aggregate_id=arguments.aggregate)
    with suppress(KeyboardInterrupt):
        asyncio.run(_follow(settings, wanted, as_json=arguments.json))
    return WELL


async def show(tail: Tail, *, was_away: bool, as_json: bool) -> bool:
    """Show what has come, and tell whether the broker is away: that is said once, and its return, too."""
    try:
        async for event in tail.step():
            say(json.dumps(event, ensure_ascii=False) if as_json else _line(event))
    except BrokerUnavailableError as error:
        if not was_away:
            complain(f"{error} Waiting for it.")
        return True
    if was_away:
        complain("Following again.")
    return False


async def _follow(settings: StreamSettings, wanted: Filter, *, as_json: bool) -> None:
    is_away = False
    async with open_broker(settings.redis, "tail") as broker:
        tail = Tail(broker, range(settings.events.partitions), wanted)
        await tail.begin()
        complain("Following; Ctrl-C ends it.")
        while True:
            is_away = await show(tail, was_away=is_away, as_json=as_json)
            await asyncio.sleep(_AWAY_SECONDS if is_away else _POLL_SECONDS)


def _line(event: Mapping[str, str]) -> str:
    names = ("occurred_at", "partition", "type", "aggregate_id", "id", "payload")
    return rows_as_text([[event.get(name, "-") for name in names]])
