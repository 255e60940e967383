"""What a run says about databases at its end: which failed tests' were kept and how to open them, who left sessions."""

from collections.abc import Iterator

import pytest

KEPT = "database kept"
LEFT_OPEN = "sessions left open"
REPLACED = "database replaced"
CLEAN = "python -m sherpa.devstack.harness clean"


def summarise(terminal: pytest.TerminalReporter) -> None:
    """Write the sections about databases, if there is anything to say."""
    kept = list(_collected(terminal, KEPT))
    if kept:
        terminal.section("databases of failed tests")
        _list(terminal, kept)
        terminal.line(
            f"PostgreSQL stays up for them, for a day or until later runs keep others. Drop all: {CLEAN}"
        )
    left_open = list(_collected(terminal, LEFT_OPEN))
    if left_open:
        terminal.section("sessions that tests left open (ended)")
        _list(terminal, left_open)


def _collected(terminal: pytest.TerminalReporter, title: str) -> Iterator[tuple[str, str]]:
    reports = [report for category in terminal.stats.values() for report in category]
    for report in reports:
        for name, content in getattr(report, "sections", ()):
            if name == title:
                yield report.nodeid, content


def _list(terminal: pytest.TerminalReporter, entries: list[tuple[str, str]]) -> None:
    for test, content in entries:
        terminal.line(test)
        for line in content.splitlines():
            terminal.line(f"  {line}")
