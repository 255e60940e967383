"""What the commands on the schema can be told, and the help that says so."""

import argparse
import math

from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS

_FLAGS_WITH_A_MODULE = ("baseline", "dry_run", "repair", "check")


def parser() -> argparse.ArgumentParser:
    """Return what reads the commands and their arguments."""
    reader = argparse.ArgumentParser(prog="python -m sherpa.db", description="The schema and its history.")
    commands = reader.add_subparsers(dest="command", required=True)

    forwards = commands.add_parser("migrate", help="apply the pending migrations")
    forwards.add_argument("--to", metavar="ID", help="stop after this one (an ID or its unique beginning)")

    backwards = commands.add_parser(
        "revert", help="take migrations back, the newest first; their rows are lost"
    )
    how_far = backwards.add_mutually_exclusive_group()
    how_far.add_argument("--steps", metavar="N", type=_positive, help="how many (default: 1)")
    how_far.add_argument("--to", metavar="ID", help="all that came after this one, which stays")
    how_far.add_argument("--all", action="store_true", help="everything; asks before")
    backwards.add_argument("--yes", action="store_true", help="don't ask")

    for command in (forwards, backwards):
        command.add_argument(
            "--lock-wait",
            metavar="SECONDS",
            type=_seconds,
            default=LOCK_WAIT_SECONDS,
            help="how long to wait for another runner (default: %(default).0f)",
        )

    listing = commands.add_parser("migrations", help="list the applied and the pending migrations")
    listing.add_argument("--json", action="store_true", help="print JSON")
    return reader


def module_of(arguments: argparse.Namespace) -> str:
    """Return the name of the module in `sherpa.db.commands` that does what is asked.

    A flag that makes another thing of a command has a module of its own, called as the flag.
    """
    flags = (flag for flag in _FLAGS_WITH_A_MODULE if getattr(arguments, flag, None))
    return next(flags, arguments.command)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return seconds
