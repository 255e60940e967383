"""Where finished lines go: one write each, and no failure of the stream ever reaches the caller."""

import io
import os
import sys
from typing import TextIO


class Sink:
    """Write lines to a stream; without one to `sys.stdout`, as it is at the time of the line."""

    def __init__(self) -> None:
        self.stream: TextIO | None = None

    def write(self, line: bytes) -> None:
        """Write one line, or lose it when the stream is closed or its reader has gone."""
        stream = self.stream or sys.stdout
        try:
            try:
                write_all(stream.fileno(), line)
            except io.UnsupportedOperation:  # a stream in memory
                stream.write(line.decode())
        except (OSError, ValueError, AttributeError):  # broken, closed, absent
            return

    def is_terminal(self) -> bool:
        """Tell whether a person is reading."""
        try:
            return (self.stream or sys.stdout).isatty()
        except (AttributeError, ValueError):
            return False


def write_all(descriptor: int, line: bytes) -> None:
    """Write past Python's buffer: a crash loses nothing, and a broken pipe leaves nothing to fail at exit."""
    rest = line
    while rest:
        rest = rest[os.write(descriptor, rest) :]
