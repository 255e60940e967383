"""Where finished lines go: past Python's buffer, and never in the way of the work that they tell of.

A stream that is closed costs its lines. One whose reader has stopped is waited for a moment; then its lines
are lost, and counted, until it reads again.
"""

import io
import os
import select
import sys
from typing import TextIO

PATIENCE_SECONDS = 1.0


class Sink:
    """Write lines to a stream; without one to `sys.stdout`, as it is at the time of the line."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None
        self._lost = 0
        self._torn = False

    def write(self, line: bytes) -> int:
        """Write one line, or lose it; return how many were lost between the last that was written and it."""
        stream = self.stream or sys.stdout
        try:
            written = self._write(stream, line)
        except (OSError, ValueError, AttributeError):  # broken, closed, absent
            return 0
        if not written:
            self._lost += 1
            return 0
        lost, self._lost = self._lost, 0
        return lost

    def is_terminal(self) -> bool:
        """Tell whether a person is reading."""
        try:
            return (self.stream or sys.stdout).isatty()
        except (AttributeError, ValueError):
            return False

    def _write(self, stream: TextIO, line: bytes) -> bool:
        """Write past Python's buffer: a crash loses nothing, a broken pipe leaves nothing to fail at exit."""
        try:
            descriptor = stream.fileno()
        except io.UnsupportedOperation:  # a stream in memory
            stream.write(line.decode())
            return True
        rest = b"\n" + line if self._torn else line
        while rest:
            if not _takes_a_piece(descriptor, 0 if self._lost else PATIENCE_SECONDS):
                return False
            rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
            self._torn = bool(rest)
        return True


def _takes_a_piece(descriptor: int, seconds: float) -> bool:
    """Wait until a write of PIPE_BUF bytes does not block, as it would for ever in a pipe nobody reads."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
