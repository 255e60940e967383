"""What a run says at its end: which databases were kept, how to open them, and who left sessions open."""

import shlex
from collections.abc import Iterator

import pytest

KEPT = "database kept"
LEFT_OPEN = "sessions left open"
REPLACED = "database replaced"

HOW_LONG = "PostgreSQL stays up for them: for a day, or until three later runs have kept theirs."
HOW_TO_DROP = "To drop them now: python -m sherpa.devstack.harness clean"


def summarise(terminal: pytest.TerminalReporter, *, folder: str = "") -> None:
    """Write the sections about databases, if there is anything to say; `folder` is what had to be named."""
    kept = list(_collected(terminal, KEPT))
    if kept:
        terminal.section("databases of failed tests")
        _list(terminal, kept)
        terminal.line(HOW_LONG)
        terminal.line(f"{HOW_TO_DROP} {shlex.quote(folder) if folder else ''}".rstrip())
    left_open = list(_collected(terminal, LEFT_OPEN))
    if left_open:
        terminal.section("sessions that tests left open, now ended")
        _list(terminal, left_open)


def _collected(terminal: pytest.TerminalReporter, title: str) -> Iterator[tuple[str, str]]:
    for category in terminal.stats.values():
        for report in category:
            for name, content in getattr(report, "sections", ()):
                if name == title:
                    yield report.nodeid, content


def _list(terminal: pytest.TerminalReporter, entries: list[tuple[str, str]]) -> None:
    for test, content in entries:
        terminal.line(test)
        for line in content.splitlines():
            terminal.line(f"  {line}")
