"""`dead-letters list`: which events handlers have given up, the newest failure first."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.events.commands.tables import as_json, counted, rows_as_text
from sherpa.events.operations.deadletters import DeadLetter, list_dead
from sherpa.events.operations.moments import in_words
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OutboxSettings

_HEAD = ("event", "handler", "type", "attempts", "behind", "last failed", "error")


def run(arguments: argparse.Namespace) -> int:
    """List them, as a table or as JSON."""
    settings = load(OutboxSettings).database
    total, listed = asyncio.run(_list(settings, arguments.handler, arguments.limit))
    if arguments.json:
        document = {
            "total": total,
            "dead_letters": [as_json(each, without=("traceback",)) for each in listed],
        }
        say(json.dumps(document, indent=2))
        return WELL
    if listed:
        say(rows_as_text([_HEAD, *map(_columns, listed)]))
    more = f", the newest {len(listed)} of them above" if total > len(listed) else ""
    say(f"{counted(total, 'dead letter')} in {describe_server(settings)}{more}.")
    return WELL


async def _list(
    settings: DatabaseSettings, handler: str | None, limit: int
) -> tuple[int, Sequence[DeadLetter]]:
    async with open_session(settings, "dead-letters") as connection:
        return await list_dead(connection, handler, limit)


def _columns(letter: DeadLetter) -> tuple[str, ...]:
    last = in_words(letter.last_failed_at) if letter.last_failed_at else ""
    error = (letter.error or "").partition("\n")[0]
    return (
        str(letter.event_id),
        letter.handler_name,
        letter.event_type or "?",
        str(letter.attempts),
        str(letter.behind),
        last,
        error,
    )
