"""Progress is a plain line per step where nobody watches a terminal."""

import io
import re

import pytest

from sherpa.devstack.progress import Progress


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
