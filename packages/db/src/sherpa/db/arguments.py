"""What the commands on the schema can be told, and the help that says so."""

import argparse
import math
from pathlib import Path

from sherpa.db.migrations.files import VERSIONS
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS

# The first one that is given is called: `baseline` refuses `dry_run` beside it.
_FLAGS_WITH_A_MODULE = ("baseline", "dry_run", "check", "repair")


def parser() -> argparse.ArgumentParser:
    """Return what reads the commands and their arguments."""
    reader = argparse.ArgumentParser(prog="python -m sherpa.db", description="The schema and its history.")
    commands = reader.add_subparsers(dest="command", required=True)
    _add_migrate(commands.add_parser("migrate", help="apply the pending migrations"))
    _add_revert(
        commands.add_parser("revert", help="take migrations back, the newest first; their rows are lost")
    )
    _add_migrations(commands.add_parser("migrations", help="list every migration with its state"))
    _add_migration(commands.add_parser("migration", help="write a new migration"))
    return reader


def _add_migrate(command: argparse.ArgumentParser) -> None:
    how_far = command.add_mutually_exclusive_group()
    how_far.add_argument("--to", metavar="ID", help="stop after this one (an ID or its unique beginning)")
    how_far.add_argument(
        "--baseline",
        metavar="ID",
        help="apply nothing: record all up to this one as applied, when the database matches them",
    )
    command.add_argument(
        "--allow-out-of-order",
        action="store_true",
        help="also apply those that are older than the newest applied one",
    )
    command.add_argument(
        "--wait", metavar="SECONDS", type=_seconds, default=0, help="how long to wait for the server"
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="print the SQL, run in a transaction that is rolled back; write nothing",
    )
    _add_lock_wait(command)


def _add_revert(command: argparse.ArgumentParser) -> None:
    how_far = command.add_mutually_exclusive_group()
    how_far.add_argument("--steps", metavar="N", type=_positive, help="how many (default: 1)")
    how_far.add_argument("--to", metavar="ID", help="all that came after this one, which stays")
    how_far.add_argument("--all", action="store_true", help="everything; asks before")
    command.add_argument("--yes", action="store_true", help="don't ask")
    _add_lock_wait(command)


def _add_migrations(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare the database with the tables")
    what.add_argument(
        "--repair",
        action="store_true",
        help="show what was edited, and accept the present files; asks before",
    )
    command.add_argument("--yes", action="store_true", help="don't ask (with --repair)")
    _add_lock_wait(command)


def _add_migration(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "words", metavar="WORDS", nargs="+", help='what it does: "add nickname to memberships"'
    )
    command.add_argument(
        "--folder", metavar="FOLDER", type=Path, default=VERSIONS, help="where (default: with the others)"
    )


def _add_lock_wait(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--lock-wait",
        metavar="SECONDS",
        type=_seconds,
        default=LOCK_WAIT_SECONDS,
        help="how long to wait for another runner (default: %(default).0f)",
    )


def module_of(arguments: argparse.Namespace) -> str:
    """Return the name of the module in `sherpa.db.commands` that does what is asked.

    A flag that makes another thing of a command has a module of its own, called as the flag; given without a
    value, as `--baseline "$UNSET"`, it is not left out.
    """
    flags = (each for each in _FLAGS_WITH_A_MODULE if getattr(arguments, each, None) not in {None, False})
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
