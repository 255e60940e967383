"""`revert`: takes migrations back, and asks before it takes all of them."""

import argparse
import asyncio

from sherpa.config import load
from sherpa.db.console import can_ask, complain, count, is_confirmed, report, say
from sherpa.db.dsn import describe_server
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.db.migrations.runner import revert
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Take them back, tell each, and sum up."""
    must_ask = arguments.all and not arguments.yes
    if must_ask and not can_ask():
        complain("--all drops every table and every row. No terminal to ask at: add --yes.")
        return WRONG_USE
    settings = load(MigrationSettings).database
    if must_ask and not _is_meant(describe_server(settings)):
        complain("Nothing was changed.")
        return FAILED
    done = asyncio.run(
        revert(
            settings,
            steps=arguments.steps or 1,
            to=arguments.to,
            everything=arguments.all,
            lock_wait_seconds=arguments.lock_wait,
            report=report,
        )
    )
    say(f"{count(done, 'reverted') or 'Nothing to revert'} in {describe_server(settings)}.")
    return WELL


def _is_meant(where: str) -> bool:
    say(f"This reverts every migration in {where}: all tables go, with the rows in them.")
    return is_confirmed("Go on?")
