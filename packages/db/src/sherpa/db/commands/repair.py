"""`migrations --repair`: shows what was edited since it was applied, and accepts the files when told to."""

import argparse
import asyncio
from collections.abc import Sequence

from sherpa.config import DatabaseSettings, load
from sherpa.db.console import can_ask, complain, is_confirmed, report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.review.repair import Repair, propose_repairs, repair
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Show the differences, ask, and write what the files say now; HistoryError for what is left."""
    if arguments.json:
        complain("--repair shows differences for people: there is no JSON of them.")
        return WRONG_USE
    settings = load(MigrationSettings).database
    server = describe_server(settings)
    proposed = asyncio.run(propose_repairs(settings))
    edited = [each for each in proposed if each.recorded is not None]
    for each in edited:
        say(each.difference())
    if edited and not arguments.yes:
        if not can_ask():
            complain("--repair takes these files for what was applied. No terminal to ask at: add --yes.")
            return WRONG_USE
        if not is_confirmed(f"Take these files for what was applied in {server}?"):
            complain("Nothing was changed.")
            return FAILED
    if proposed:
        lock_wait = arguments.lock_wait
        proposed = asyncio.run(repair(settings, proposed, lock_wait_seconds=lock_wait, report=report))
    _tell(proposed, server)
    asyncio.run(_require_agreement(settings))
    return WELL


def _tell(repaired: Sequence[Repair], server: str) -> None:
    for each in repaired:
        say(f"{each.id:<32} {'recorded' if each.recorded is None else 'accepted'}")
    say(f"{len(repaired) or 'Nothing'} repaired in {server}.")


async def _require_agreement(settings: DatabaseSettings) -> None:
    # A missing file, a late one or two of one number are not ours to mend: they are told, each with its cure.
    async with open_session(settings) as connection:
        (await examine(connection, list_files())).require_agreement()
