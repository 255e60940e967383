"""`migrations --check`: whether the database is as the tables declare it. Leaves nothing, blocks nobody."""

import argparse
import asyncio
import json
from collections.abc import Sequence

import asyncpg

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import complain, count, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import DRIFT, PENDING, WELL
from sherpa.db.migrations.comparison.declared import find_drift
from sherpa.db.migrations.comparison.drift import Difference, describe
from sherpa.db.migrations.errors import DriftError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings

type Checked = tuple[Sequence[str], Sequence[Difference]]
"""The pending migrations, and the differences, which are looked for when nothing is pending."""


def run(arguments: argparse.Namespace) -> int:
    """Compare them and tell each difference, as lines or as JSON."""
    settings = load(MigrationSettings).database
    pending, differences = asyncio.run(_check(settings))
    if arguments.json:
        return _print(describe_server(settings), pending, differences)
    if pending:
        complain(
            f"{count(pending, 'pending')} in {describe_server(settings)} ({', '.join(pending)}), so there is "
            f"nothing to compare yet: apply them first, with `inv migrate`."
        )
        return PENDING
    if differences:
        raise DriftError(
            f"{describe_server(settings)} is not as the tables declare it:\n\n{describe(differences)}\n\n"
            f"Mend the database by a migration, or what is declared in sherpa/db/tables."
        )
    say(f"{describe_server(settings)} is as the tables declare it.")
    return WELL


async def _check(settings: DatabaseSettings) -> Checked:
    async with open_session(settings) as connection:
        pending = await _pending(connection)
        return pending, () if pending else await find_drift(connection)


async def _pending(connection: asyncpg.Connection) -> Sequence[str]:
    examination = await examine(connection, list_files())
    return examination.require_agreement().pending


def _print(database: str, pending: Sequence[str], differences: Sequence[Difference]) -> int:
    document = {
        "database": database,
        "pending": list(pending),
        "drift": None if pending else [difference.as_json() for difference in differences],
    }
    say(json.dumps(document, indent=2))
    return PENDING if pending else DRIFT if differences else WELL
