"""A data migration's progress for people: a bar that is redrawn at a terminal, a line now and then in a log.

Only decides what to write, and when; so it needs no clock and no terminal to be tested.
"""

import os
from typing import Final, TextIO

from sherpa.db.migrations.events import Progress

# A terminal is read by an eye, a log by whoever pays for its lines.
_REDRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0

_BAR_COLUMNS: Final = 20
_UNKNOWN_COLUMNS: Final = 80


class ProgressBar:
    """What is on the screen of one command; `update` and `end` return what to write, often nothing."""

    def __init__(self) -> None:
        self._drawn = 0
        self._due: float | None = None
        self._is_terminal = False

    def update(self, progress: Progress, now: float, columns: int | None) -> str:
        """Return what shows the progress at the time `now` (in seconds); `columns` is None in a log."""
        self._is_terminal = columns is not None
        if self._due is None:  # a log is told only of what takes long
            self._due = now if self._is_terminal else now + _LINE_SECONDS
        if now < self._due:
            return ""
        if columns is None:
            self._due = now + _LINE_SECONDS
            return f"{in_words(progress)}\n"
        self._due = now + _REDRAW_SECONDS
        # Not into the last column: some terminals begin a new line there.
        line = draw(progress, columns - 1)
        padded, self._drawn = line.ljust(self._drawn), len(line)
        return f"\r{padded}"

    def end(self) -> str:
        """Return what makes room for another line; the next update begins anew."""
        erased = f"\r{' ' * self._drawn}\r" if self._drawn else ""
        self._drawn = 0
        if self._is_terminal:
            self._due = None
        return erased


def in_words(progress: Progress) -> str:
    """Return the progress as a sentence: whose, how far, how fast, how long still."""
    left = f", {_duration(progress)} left" if _seconds_left(progress) else ""
    rows = f"{progress.done:,} of about {progress.total:,} rows ({_percent(progress)} %)"
    return f"{progress.migration_id}: {rows}, {progress.rows_per_second:,.0f} rows/s{left}"


def draw(progress: Progress, columns: int) -> str:
    """Return the progress as one line of at most so many columns, with less in it the narrower it is."""
    percent, name = f"{_percent(progress):3} %", progress.migration_id
    speed, left = f"{progress.rows_per_second:,.0f} rows/s", f"{_duration(progress)} left"
    bar = f"[{'#' * (_BAR_COLUMNS * _percent(progress) // 100):<{_BAR_COLUMNS}}]"
    forms = (
        (name, percent, bar, f"{progress.done:,} of {progress.total:,}", speed, left),
        (name, percent, bar, speed, left),
        (name, percent, speed, left),
        (name, percent, left),
        (percent, left),
        (percent,),
    )
    lines = ("  ".join(form) for form in forms)
    return next((line for line in lines if len(line) <= columns), "")


def columns_of(stream: TextIO | None) -> int | None:
    """Return how wide the terminal is that the stream writes to, now; None when it writes to none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _UNKNOWN_COLUMNS if stream else None
    except (OSError, ValueError):  # a file, a pipe; a stream that is closed, or stands for one
        return None


def _percent(progress: Progress) -> int:
    # Of a total that is an estimate: only what is over is at 100.
    return 100 * progress.done // max(progress.total, progress.done, 1)


def _seconds_left(progress: Progress) -> int:
    return round((progress.total - progress.done) / max(progress.rows_per_second, 1e-6))


def _duration(progress: Progress) -> str:
    minutes, seconds = divmod(max(_seconds_left(progress), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
