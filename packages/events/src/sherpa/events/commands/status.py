"""`status`: how far everything is, who does it, how fast, and what is to worry about."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from sherpa.config import load
from sherpa.db.console import say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import FAILED, WELL
from sherpa.events.commands.tables import as_json, rows_as_text
from sherpa.events.operations.looking import look
from sherpa.events.operations.overview import HandlerState, Overview, Partition
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OperatorSettings
from sherpa.events.operations.streams import open_broker
from sherpa.events.operations.worries import worries


def run(arguments: argparse.Namespace) -> int:
    """Show it, as text or as JSON; it fails when the broker can't be asked."""
    settings = load(OperatorSettings)
    seen = asyncio.run(_look(settings))
    found = worries(seen, settings.events)
    server = describe_server(settings.database)
    if arguments.json:
        handlers = [as_json(each) | {"lag": each.lag, "pending": each.pending} for each in seen.handlers]
        say(
            json.dumps(
                {"database": server, **as_json(seen), "handlers": handlers, "worries": found}, indent=2
            )
        )
    else:
        say("\n\n".join([_outbox(seen, server), _partitions(seen), *_handlers(seen), *_worries(found)]))
    return FAILED if seen.broker.error else WELL


async def _look(settings: OperatorSettings) -> Overview:
    async with (
        open_session(settings.database, "status") as connection,
        open_broker(settings.redis, "status") as broker,
    ):
        return await look(connection, broker, settings.events)


def _outbox(seen: Overview, server: str) -> str:
    share = seen.broker.memory_share
    age = f"{seen.oldest_pending_seconds:,.1f} s"
    return rows_as_text(
        [
            ("outbox", f"{seen.pending:,} pending in {server}, the oldest for {age}"),
            ("published", f"{seen.published_per_second:,.1f} events/s"),
            ("dead rows", f"{seen.dead_tuples:,} in the outbox, not vacuumed yet"),
            ("broker", "away" if seen.broker.error else f"memory used: {_share(share)}"),
        ]
    )


def _partitions(seen: Overview) -> str:
    head = ("partition", "pending", "stream", "memory", "relay")
    return rows_as_text([head, *map(_partition, seen.partitions)])


def _partition(partition: Partition) -> tuple[str, ...]:
    length, memory = partition.stream_length, partition.stream_memory_bytes
    return (
        str(partition.number),
        f"{partition.pending:,}",
        "-" if length is None else f"{length:,}",
        "-" if memory is None else f"{memory / 1024:,.0f} KiB",
        str(partition.leader or "nobody"),
    )


def _handlers(seen: Overview) -> list[str]:
    head = ("handler", "lag", "pending", "retrying", "waiting", "dead", "events/s", "run by")
    return [rows_as_text([head, *map(_handler, seen.handlers)])] if seen.handlers else []


def _handler(handler: HandlerState) -> tuple[str, ...]:
    owners = sorted({str(group.owner or "nobody") for group in handler.groups})
    counts = (handler.pending, handler.retrying, handler.waiting, handler.dead)
    return (
        handler.name,
        "?" if handler.lag is None else f"{handler.lag:,}",
        *(f"{count:,}" for count in counts),
        f"{handler.handled_per_second:,.1f}",
        ", ".join(owners),
    )


def _worries(found: Sequence[str]) -> list[str]:
    return ["\n".join(["To see to:", *(f"- {worry}" for worry in found)])] if found else []


def _share(share: float | None) -> str:
    return "no limit" if share is None else f"{share:.0%}"
