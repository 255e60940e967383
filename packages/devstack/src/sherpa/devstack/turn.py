"""One at a time: whoever changes a checkout's stack holds its lock, and the others wait for their turn."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import state_directory

WAIT_SECONDS = 600.0
POLL_SECONDS = 0.05


@contextmanager
def turn(root: Path, say: Callable[[str], None], *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the checkout's lock for the length of the block.

    The system gives the lock back when its holder ends, however it ends; servers that are started meanwhile
    don't inherit it. Raises StackError after waiting too long.
    """
    file = state_directory(root) / "lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(descriptor, say, wait_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, say: Callable[[str], None], wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while not _try(descriptor):
        holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
        if time.monotonic() > deadline:
            raise StackError(
                f"Another inv command (pid {holder}) has worked on this stack for {wait_seconds:.0f} s.",
                remedy=f"See what it does (ps -p {holder}), or end it.",
            )
        if not told:
            say(f"another inv command (pid {holder}) works on this stack: waiting for it")
            told = True
        time.sleep(POLL_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
