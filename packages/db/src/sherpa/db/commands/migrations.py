"""`migrations`: lists what is applied and what is pending; writes nothing."""

import argparse
import asyncio
import json

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings
from sherpa.db.migrations.status import Status, read_status


def run(arguments: argparse.Namespace) -> int:
    """List them, as a table or as JSON."""
    settings = load(MigrationSettings).database
    status = asyncio.run(_read(settings))
    rows = _rows(status)
    if arguments.json:
        document = {"database": describe_server(settings), "at_head": status.at_head, "migrations": rows}
        say(json.dumps(document, indent=2))
        return WELL
    for row in rows:
        say(f"{row['id']:<32} {row['state']:<8} {row['applied_at'] or ''}".rstrip())
    say(f"{len(status.applied)} applied, {len(status.pending)} pending in {describe_server(settings)}.")
    return WELL


async def _read(settings: DatabaseSettings) -> Status:
    async with open_session(settings) as connection:
        return await read_status(connection)


def _rows(status: Status) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = [
        {
            "id": migration.id,
            "state": "applied" if migration.is_known else "missing",
            "applied_at": f"{migration.at:%Y-%m-%dT%H:%M:%SZ}",
        }
        for migration in status.applied
    ]
    rows += [{"id": pending, "state": "pending", "applied_at": None} for pending in status.pending]
    return sorted(rows, key=lambda row: str(row["id"]))
