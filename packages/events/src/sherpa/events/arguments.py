"""What the operators' commands can be told, and the help that says so."""

import argparse
from collections.abc import Callable
from typing import Final
from uuid import UUID

from sherpa.events.operations.moments import Moment, parse_moment

_MOST_LISTED: Final = 1_000_000


def parser() -> argparse.ArgumentParser:
    """Return what reads the commands and their arguments."""
    reader = argparse.ArgumentParser(prog="python -m sherpa.events", description="Events, for operators.")
    commands = reader.add_subparsers(dest="command", required=True)
    _add_status(commands.add_parser("status", help="show how far everything is, and what is to worry about"))
    _add_dead_letters(commands.add_parser("dead-letters", help="look at and decide on events that failed"))
    _add_replay(commands.add_parser("replay", help="publish again what was published"))
    _add_tail(commands.add_parser("tail", help="follow the events that are published, until Ctrl-C"))
    _add_prune(commands.add_parser("prune", help="delete what has been kept for long enough"))
    _add_groups(
        commands.add_parser("groups", help="list the handlers' groups, or forget a removed handler's")
    )
    return reader


def module_of(arguments: argparse.Namespace) -> str:
    """Return the name of the module in `sherpa.events.commands` that does what is asked."""
    words = [arguments.command, getattr(arguments, "action", None)]
    return "_".join(word.replace("-", "_") for word in words if word)


def _add_status(command: argparse.ArgumentParser) -> None:
    _add_json(command)


def _add_dead_letters(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="list them, the newest failure first")
    _add_handler(listing)
    listing.add_argument(
        "--limit", metavar="N", type=_limit, default=100, help="at most so many (default: %(default)d)"
    )
    _add_json(listing)
    show = actions.add_parser("show", help="show one with its payload, error and traceback")
    show.add_argument("event", metavar="ID", type=_uuid, help="the event's id")
    _add_handler(show)
    _add_json(show)
    _add_decision(actions.add_parser("retry", help="run them again, with all their attempts; asks before"))
    _add_decision(
        actions.add_parser("discard", help="give them up: they count as handled, for ever; asks before")
    )


def _add_decision(command: argparse.ArgumentParser) -> None:
    command.add_argument("event", metavar="ID", type=_uuid, nargs="?", help="the event's id")
    _add_handler(command)
    command.add_argument("--all", action="store_true", help="all dead letters of all handlers")
    _add_yes(command)


def _add_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--since",
        metavar="TIME",
        type=_moment,
        required=True,
        help="published at or after it: RFC 3339 (2026-11-23T12:00:00Z), or how long ago (90s, 30m, 2h, 7d)",
    )
    command.add_argument(
        "--to", metavar="TIME", type=_moment, default="0s", help="and before it (default: now)"
    )
    _add_selection(command)
    command.add_argument("--dry-run", action="store_true", help="only say what would be published again")


def _add_tail(command: argparse.ArgumentParser) -> None:
    _add_selection(command)
    command.add_argument("--json", action="store_true", help="print each event as a line of JSON")


def _add_prune(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="only say what would be deleted")


def _add_groups(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True)
    _add_json(actions.add_parser("list", help="list them with how far each is"))
    forget = actions.add_parser("forget", help="delete a removed handler's group and what it failed on")
    forget.add_argument("name", metavar="NAME", type=_name, help="the handler's name")
    _add_yes(forget)


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--type",
        metavar="TYPE",
        type=_name,
        action="append",
        default=[],
        help="only events of this type; may be repeated",
    )
    command.add_argument("--aggregate", metavar="ID", type=_uuid, help="only those of this aggregate")


def _add_handler(command: argparse.ArgumentParser) -> None:
    command.add_argument("--handler", metavar="NAME", type=_name, help="only this handler's")


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="don't ask")


def _refused_by[T](parse: Callable[[str], T], wanted: str) -> Callable[[str], T]:
    def parse_or_refuse(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be {wanted}, not {text!r}") from error

    return parse_or_refuse


def _parse_limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_LISTED:
        raise ValueError(text)
    return int(text)


def _parse_name(text: str) -> str:
    # Not as it was meant: an empty variable of a script's, or bytes that are no text.
    if not text.isprintable() or not text.strip():
        raise ValueError(text)
    return text


_uuid: Callable[[str], UUID] = _refused_by(UUID, "a UUID")
_limit: Callable[[str], int] = _refused_by(_parse_limit, f"1 to {_MOST_LISTED}")
_name: Callable[[str], str] = _refused_by(_parse_name, "a name of printable characters")
_moment: Callable[[str], Moment] = _refused_by(
    parse_moment,
    "a time as 2026-11-23T12:00:00Z, with Z or an offset, or how long ago as 90s, 30m, 2h or 7d",
)
