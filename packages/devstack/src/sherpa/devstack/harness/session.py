"""A test session: one pytest run with all its workers, known by its folder, alive as long as one of them lives.

Each process of a session holds a shared lock on a file in the folder. The kernel drops it when the process ends,
however it ends: a folder whose lock can be had is a leftover, without asking pids, which may be another's by now.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sherpa.devstack.harness import place as places


@dataclass(frozen=True)
class Session:
    """One session's folder: `name` in the folder of all sessions. Making this object makes nothing on the disk."""

    place: Path
    name: str

    @classmethod
    def new(cls, place: Path) -> "Session":
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

    def join(self) -> IO[bytes]:
        """Make the folder if it isn't there and become one of its processes for as long as the result is open.

        Call it inside `place_lock`, or the folder of a session that begins looks abandoned.
        """
        self.directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        alive = (self.directory / "alive").open("ab")
        fcntl.flock(alive, fcntl.LOCK_SH)
        return alive

    def is_abandoned(self) -> bool:
        """Whether no process of this session lives. Call it inside `place_lock`."""
        try:
            with (self.directory / "alive").open("rb") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the session's other workers waiting, while one of them starts or builds what they share."""
        with (self.directory / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def place_lock(place: Path) -> Iterator[None]:
    """Keep every other session out while one begins, ends or cleans up. Raises UnsafePlaceError."""
    places.claim(place)
    with (place / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sessions(place: Path) -> list[Session]:
    """Return all sessions that have a folder, the oldest first."""
    names = sorted(entry.name for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
    return [Session(place, name) for name in names]
