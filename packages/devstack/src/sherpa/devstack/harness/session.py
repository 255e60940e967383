"""A test session: one pytest run with all its workers, known by its folder, alive while one of them lives.

Each process of a session holds a shared lock on a file in the folder. The kernel drops the lock when the
process ends, however it ends. So a folder whose lock can be had is a leftover: no pid is asked, which may be
another's by now.
"""

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from sherpa.devstack.harness import place as places

BUSY_SECONDS = 60.0
POLL_SECONDS = 0.005


type OwnFolder = Callable[[], contextlib.AbstractContextManager[Path]]


class PlaceBusyError(Exception):
    """The folder for test servers is locked, and stays so."""


@dataclass(frozen=True)
class Session:
    """The folder `name` in the folder of all sessions, `place`. Making this object touches no disk."""

    place: Path
    name: str

    @classmethod
    def new(cls, place: Path) -> Self:
        """Return a session whose name sorts by the time it began."""
        return cls(place, f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(2)}")

    @property
    def directory(self) -> Path:
        """Where everything of this session is."""
        return self.place / self.name

    @property
    def kept(self) -> Path:
        """The folder with one file for each database that was kept; it may be absent."""
        return self.directory / "kept"

    @property
    def own_servers(self) -> Path:
        """The folder of what tests start for themselves; it may be absent."""
        return self.directory / "own servers"

    @contextlib.contextmanager
    def own_folder(self) -> Iterator[Path]:
        """Make a folder for servers of a test's own, and remove it at the end."""
        folder = self.own_servers / secrets.token_hex(4)
        for each in (self.own_servers, folder):
            each.mkdir(exist_ok=True)
            places.make_passable(each)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    def join(self) -> IO[bytes]:
        """Make the folder if it isn't there, and belong to the session for as long as the result is open.

        Raises PlaceBusyError when the folder is being cleaned up for too long.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            with place_lock(self.place):
                self.directory.mkdir(exist_ok=True)
                places.make_passable(self.directory)
                if alive := self._try_lock(fcntl.LOCK_SH):
                    return alive
            _pause(deadline, self.directory)

    def claim(self) -> IO[bytes] | None:
        """Take an abandoned session over for as long as the result is open; None when a process of it lives.

        Call it inside `place_lock`, or a session that begins looks abandoned.
        """
        try:
            return self._try_lock(fcntl.LOCK_EX)
        except FileNotFoundError:  # whoever ends it was quicker
            return None

    def _try_lock(self, kind: int) -> IO[bytes] | None:
        alive = _open(self.directory / "alive")
        try:
            fcntl.flock(alive, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            alive.close()
            return None
        return alive

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the session's other workers waiting, while one starts or builds what they share."""
        with _open(self.directory / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def place_lock(place: Path) -> Iterator[None]:
    """Keep every other session out for the moment in which one begins or looks for leftovers.

    Raises UnsafePlaceError, and PlaceBusyError when someone else keeps us out for too long.
    """
    places.claim(place)
    deadline = time.monotonic() + BUSY_SECONDS
    with _open(place / "lock") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _pause(deadline, place)
            else:
                break
        yield


def _open(file: Path) -> IO[bytes]:
    """Open a file that only we can open: whoever can, can lock it."""
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, mode=0o600), "ab")


def _pause(deadline: float, folder: Path) -> None:
    if time.monotonic() > deadline:
        raise PlaceBusyError(
            f"Another process keeps {folder} locked for more than {BUSY_SECONDS:.0f} s. Find it with: "
            f"fuser -v {shlex.quote(str(folder))}/* and end it, or use another folder: --test-servers FOLDER"
        )
    time.sleep(POLL_SECONDS)


def all_sessions(place: Path) -> list[Session]:
    """Return all sessions that have a folder, the oldest first."""
    names = sorted(entry.name for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
    return [Session(place, name) for name in names]
