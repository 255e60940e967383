"""`dead-letters show ID`: all that is known of one failed event, for each handler that failed on it."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import say
from sherpa.db.exitcodes import WELL
from sherpa.events.commands.tables import as_json, rows_as_text, visible_lines
from sherpa.events.operations.deadletters import DeadLetter, Which, find_or_refuse
from sherpa.events.operations.session import open_session
from sherpa.events.operations.settings import OutboxSettings


def run(arguments: argparse.Namespace) -> int:
    """Show it, as text or as JSON (a list: one for each handler)."""
    which = Which(arguments.event, arguments.handler)
    found = asyncio.run(_find(load(OutboxSettings).database, which))
    if arguments.json:
        say(json.dumps([as_json(each) for each in found], indent=2))
    else:
        say("\n\n".join(map(_as_text, found)))
    return WELL


async def _find(settings: DatabaseSettings, which: Which) -> Sequence[DeadLetter]:
    async with open_session(settings, "dead-letters") as connection:
        return await find_or_refuse(connection, which)


def _as_text(letter: DeadLetter) -> str:
    facts = as_json(letter, without=("entry", "error", "traceback", "position"))
    fields = [("field", *field) for field in letter.entry.items() if field[0] != "payload"]
    return "\n".join(
        (
            rows_as_text([(name, _shown(value)) for name, value in facts.items()]),
            rows_as_text([(f"entry {name}", text) for _, name, text in fields]),
            f"\npayload\n{visible_lines(_indented(letter.entry.get('payload', '')))}",
            f"\nerror\n{visible_lines(letter.error or '')}",
            f"\ntraceback\n{visible_lines(letter.traceback or '')}",
        )
    ).rstrip()


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _indented(payload: str) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # it may be dead for just that
        return payload
