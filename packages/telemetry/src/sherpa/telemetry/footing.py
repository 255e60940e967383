"""What the process stands on before anything else: a way to be stopped, and three open standard streams.

A `__main__` asks for it before its other imports, which take half a second and more.
"""

import os
import signal
from types import FrameType


def stand() -> None:
    """Exit 0 at a SIGTERM from now on, until the server obeys it in its own way; open closed streams."""
    signal.signal(signal.SIGTERM, _leave)
    for descriptor in (0, 1, 2):
        _fill(descriptor)


def _leave(_signum: int, _frame: FrameType | None) -> None:
    os._exit(0)  # nothing is begun yet, and a SystemExit in the middle of an import may be swallowed


def _fill(descriptor: int) -> None:
    """Open nothing where a standard stream is closed: libuv aborts if a file of its own gets the number."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
