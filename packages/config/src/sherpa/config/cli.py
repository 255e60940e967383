"""`python -m sherpa.config`: the effective settings, secrets masked, each with where it came from."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sherpa.config.report import Report, as_json, as_text, report
from sherpa.config.sections import SECTIONS
from sherpa.config.sources import Sources

WELL, FAILED, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Print the settings and return 0; 1 when they have faults, 2 for wrong use.

    The table or JSON goes to stdout, also when there are faults; these and the warnings go to stderr.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed the help, or the fault
        return WRONG_USE if end.code else WELL
    result = report(Sources.open(os.environ, arguments.dotenv), arguments.section)
    _print(result, as_plain=not arguments.json)
    return FAILED if result.faults else WELL


def _print(result: Report, *, as_plain: bool) -> None:
    text = _encodable(as_text(result)) if as_plain else json.dumps(as_json(result), indent=2)
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # `... | head`: who stops reading has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for notice in result.notices:
        sys.stderr.write(f"warning: {notice}\n")
    for fault in result.faults:
        sys.stderr.write(f"fault: {fault}\n")


def _encodable(text: str) -> str:
    """Escape what this terminal's encoding does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sherpa.config",
        description="Show the effective settings, secrets masked, each with where it came from.",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--dotenv", type=Path, default=Path(".env"), metavar="FILE", help="instead of ./.env")
    known = ", ".join(SECTIONS)
    parser.add_argument("section", nargs="*", type=_section, help=f"only these, held to be complete: {known}")
    return parser


def _section(name: str) -> str:
    if name not in SECTIONS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(SECTIONS)}")
    return name
