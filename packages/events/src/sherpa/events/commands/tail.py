"""`tail`: shows the events as they are published, until Ctrl-C. A broker that goes away is waited for."""

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Final

from sherpa.config import load
from sherpa.db.console import complain, say
from sherpa.db.exitcodes import WELL
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.commands.tables import rows_as_text
from sherpa.events.errors import BrokerUnavailableError
from sherpa.events.operations.settings import StreamSettings
from sherpa.events.operations.tailing import Filter, Tail

_POLL_SECONDS: Final = 0.25
_AWAY_SECONDS: Final = 1.0


def run(arguments: argparse.Namespace) -> int:
    """Follow; Ctrl-C is how it ends, and ends it well."""
    settings = load(StreamSettings)
    wanted = Filter(types=frozenset(arguments.type), aggregate_id=arguments.aggregate)
    broker = connect(settings.redis, client_name="sherpa-events-tail")
    try:
        tail = Tail(broker, range(settings.events.partitions), wanted)
        asyncio.run(_follow(tail, broker, as_json=arguments.json))
    except KeyboardInterrupt:
        pass
    return WELL


async def _follow(tail: Tail, broker: Broker, *, as_json: bool) -> None:
    try:
        await tail.begin()
        complain("Following; Ctrl-C ends it.")
        while True:
            pause = await _step(tail, as_json=as_json)
            await asyncio.sleep(pause)
    finally:
        await broker.close()


async def _step(tail: Tail, *, as_json: bool) -> float:
    """Show what has come, and return how long to wait."""
    try:
        async for event in tail.step():
            say(json.dumps(event, ensure_ascii=False) if as_json else _line(event))
    except BrokerUnavailableError as error:
        complain(error)
        return _AWAY_SECONDS
    return _POLL_SECONDS


def _line(event: Mapping[str, str]) -> str:
    names = ("occurred_at", "partition", "type", "aggregate_id", "id", "payload")
    return rows_as_text([[event.get(name, "-") for name in names]])
