"""Progress is a plain line per step, and on a terminal the present step before it is done."""

import io
import re
import threading

import pytest

from sherpa.devstack.progress import Progress

PATIENCE_SECONDS = 30


class Terminal(io.StringIO):
    """What looks like a terminal, and tells when a text is shown on it."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self._awaited = awaited
        self.shown = threading.Event()

    def isatty(self) -> bool:
        """Say so."""
        return True

    def write(self, text: str) -> int:
        """Show a text."""
        if self._awaited in text:
            self.shown.set()
        return super().write(text)


def test_terminal_shows_the_present_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a terminal sees what is being done while it is done, and in the end the same line."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal("starting the servers")

    with Progress(out).step("starting the servers", "servers started"):
        was_shown = out.shown.wait(PATIENCE_SECONDS)

    assert was_shown
    assert re.search(r"servers started  \d+\.\d\d s\n", out.getvalue())


def test_finished_step_is_a_line() -> None:
    """A step that is done shows what was done and how long it took, without any control code."""
    out = io.StringIO()
    progress = Progress(out)

    with progress.step("starting", "started [it] :smile:"):
        pass

    assert re.fullmatch(r" +ok  started \[it\] :smile:  \d+\.\d\d s\n", out.getvalue())
    assert progress.did


def test_failed_step_says_so() -> None:
    """A step that fails is marked, and the error goes on."""
    out = io.StringIO()
    progress = Progress(out)

    with pytest.raises(ZeroDivisionError), progress.step("starting", "started"):
        raise ZeroDivisionError

    assert re.fullmatch(r"failed  starting  \d+\.\d\d s\n", out.getvalue())


def test_saying_is_no_doing() -> None:
    """A remark is shown, and is no change."""
    out = io.StringIO()
    progress = Progress(out)

    progress.say("by the way")

    assert out.getvalue().strip() == "·  by the way"
    assert not progress.did
