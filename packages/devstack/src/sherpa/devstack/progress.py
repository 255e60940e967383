"""Progress for a person who waits: what is being done now, and what was done in which time.

On a terminal the present step turns; elsewhere each finished step is one plain line.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.text import Text


class Progress:
    """Steps of one command, one below the other. `did` says whether any step has changed something."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(
            file=stream or sys.stdout, highlight=False, soft_wrap=True, markup=False, emoji=False
        )
        self.did = False

    @contextmanager
    def step(self, doing: str, done: str = "") -> Iterator[None]:
        """Show what is being done while the block runs, then what was done, or that it failed."""
        started = time.perf_counter()
        self.did = True
        mark, text = "failed", doing
        try:
            if self._console.is_terminal:
                with self._console.status(doing):
                    yield
            else:
                yield
            mark, text = "ok", done or doing
        finally:
            self._line(mark, text, f"{time.perf_counter() - started:.2f} s")

    def say(self, line: str) -> None:
        """Tell something that takes no time."""
        self._line("·", line, "")

    def _line(self, mark: str, text: str, duration: str) -> None:
        style = {"ok": "green", "failed": "red"}.get(mark, "dim")
        # In one piece: the turning step is redrawn after every print.
        self._console.print(Text.assemble((f"{mark:>6}", style), "  ", f"{text}  {duration}".rstrip()))
