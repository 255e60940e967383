"""Progress as it is shown: one line redrawn at a terminal of any width; a line now and then in a log."""

import os
import pty
from pathlib import Path

import pytest

from sherpa.db.migrations.events import Progress
from sherpa.db.progressbar import ProgressBar, columns_of, draw, in_words

HALF = Progress("004_nickname", 500_000, 1_000_000, 5_000)


def test_sentence_tells_all() -> None:
    """How far, how fast, how long still."""
    assert "004_nickname: 500,000 of about 1,000,000 rows (50 %), 5,000 rows/s, 1:40 left" == in_words(HALF)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (120, "004_nickname   50 %  [##########          ]  500,000 of 1,000,000  5,000 rows/s  1:40 left"),
        (79, "004_nickname   50 %  [##########          ]  5,000 rows/s  1:40 left"),
        (50, "004_nickname   50 %  5,000 rows/s  1:40 left"),
        (30, "004_nickname   50 %  1:40 left"),
        (20, " 50 %  1:40 left"),
        (5, " 50 %"),
        (3, ""),
        (-1, ""),
    ],
)
def test_line_fits_the_terminal(columns: int, expected: str) -> None:
    """The narrower the terminal, the less is told; a line never takes more columns than there are."""
    assert expected == draw(HALF, columns)


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [(0, 100, "  0 %"), (999, 1000, " 99 %"), (10, 10, "100 %"), (20, 10, "100 %"), (0, 0, "  0 %")],
)
def test_percent_stays_within_reason(done: int, total: int, expected: str) -> None:
    """Only what is over is at 100 %, a total that was too low gives no more, and nothing divides by 0."""
    assert expected == draw(Progress("1", done, total, 0.0), 5)


def test_terminal_is_redrawn_in_place() -> None:
    """Each update covers what was there; there are ten a second at most."""
    bar = ProgressBar()

    written = [bar.update(HALF, now, 31) for now in (0.0, 0.05, 0.1)]
    shorter = bar.update(HALF, 0.3, 10)

    assert ["\r004_nickname   50 %  1:40 left", "", "\r004_nickname   50 %  1:40 left"] == written
    assert "\r" + " 50 %".ljust(30) == shorter


def test_line_makes_room_for_others() -> None:
    """Before another line is written the bar is wiped out; without a bar there is nothing to wipe."""
    bar = ProgressBar()
    bar.update(HALF, 0.0, 31)

    assert ["\r" + " " * 30 + "\r", ""] == [bar.end(), bar.end()]


def test_log_gets_a_line_now_and_then() -> None:
    """In a log there is a whole line every five seconds, and none for what is over sooner."""
    bar = ProgressBar()

    written = [bar.update(HALF, now, None) for now in (100.0, 104.9, 105.0, 109.9, 110.0)]

    assert ["", "", f"{in_words(HALF)}\n", "", f"{in_words(HALF)}\n"] == written


def test_width_is_the_terminals(tmp_path: Path) -> None:
    """A terminal has columns, 80 where it doesn't know; a file, a closed stream and none have not."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller), os.fdopen(terminal, "w") as at_terminal, (tmp_path / "log").open("w") as log:
        assert (80, None, None) == (columns_of(at_terminal), columns_of(log), columns_of(None))
    assert columns_of(log) is None
