"""`migrations`: lists what is applied, pending, edited, missing or late; writes nothing."""

import argparse
import asyncio
import json
from collections.abc import Sequence

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import complain, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import HISTORY, PENDING, WELL
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.review.contradictions import Examination, examine
from sherpa.db.migrations.review.listing import Listed, list_migrations
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """List them, as a table or as JSON; the exit code says whether anything is to do."""
    settings = load(MigrationSettings).database
    examination = asyncio.run(_examine(settings))
    listed = list_migrations(examination, list_files())
    show = _show_json if arguments.json else _show_table
    show(describe_server(settings), examination, listed)
    if found := examination.contradictions():
        complain("\n".join(found))
        return HISTORY
    return WELL if examination.status.at_head else PENDING


async def _examine(settings: DatabaseSettings) -> Examination:
    async with open_session(settings) as connection:
        return await examine(connection, list_files())


def _show_json(server: str, examination: Examination, listed: Sequence[Listed]) -> None:
    document = {
        "database": server,
        "at_head": examination.status.at_head,
        "migrations": [_as_json(each) for each in listed],
        "contradictions": examination.contradictions(),
    }
    say(json.dumps(document, indent=2))


def _as_json(listed: Listed) -> dict[str, str | float | None]:
    record = listed.record
    return {
        "id": listed.id,
        "name": listed.name,
        "state": listed.state,
        "applied_at": _time(listed),
        "applied_by": record.applied_by if record else None,
        "duration_seconds": record.duration_seconds if record else None,
    }


def _show_table(server: str, examination: Examination, listed: Sequence[Listed]) -> None:
    rows = [_columns(each) for each in listed]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    status = examination.status
    say(f"{len(status.applied)} applied, {len(status.pending)} pending in {server}.")


def _columns(listed: Listed) -> tuple[str, ...]:
    record = listed.record
    seconds = record.duration_seconds if record else None
    took = "" if seconds is None else f"{seconds * 1000:.0f} ms"
    by = (record.applied_by if record else None) or ""
    return listed.id, listed.state, _time(listed) or "", took, by, listed.name


def _time(listed: Listed) -> str | None:
    return f"{listed.record.at:%Y-%m-%dT%H:%M:%SZ}" if listed.record else None
