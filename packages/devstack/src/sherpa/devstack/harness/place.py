"""Where a session's servers keep their files: in memory if there is room, else where temporary files go."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - everyone can write there: `claim` makes sure that our folder is ours
# A session with two workers takes about 100 MB; Docker gives a container 64 MB of shared memory unless told.
ROOM_BYTES = 512 * 1024 * 1024


class UnsafePlaceError(Exception):
    """The folder for test servers belongs to someone else."""


def choose() -> Path:
    """Return the folder of all sessions of this user. It is not made here."""
    has_room = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    return in_memory() if has_room else on_disk()


def in_memory() -> Path:
    """Return the folder of all sessions that found room in memory."""
    return MEMORY / _name()


def on_disk() -> Path:
    """Return the folder of all sessions that didn't."""
    return Path(tempfile.gettempdir()) / _name()


def _name() -> str:
    return f"choice-sherpa-tests-{os.getuid()}"


def claim(place: Path) -> None:
    """Make the folder, or check that it is ours: where everyone can write, a stranger may have made it.

    Root's servers run as another user, who must be able to pass through. Raises UnsafePlaceError.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnsafePlaceError(
            f"{place} belongs to another user: remove it, or name another folder with --test-servers."
        )
    make_passable(place)


def make_passable(folder: Path) -> None:
    """Let the servers' user through a folder of ours, if that isn't ourselves."""
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def is_memory(folder: Path) -> bool:
    """Whether a folder's files live in memory. It decides how PostgreSQL copies a database fastest."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    around = [(Path(mount[1]), mount[2]) for mount in mounts if folder.is_relative_to(mount[1])]
    return bool(around) and max(around, key=lambda mount: len(mount[0].parts))[1] in {"tmpfs", "ramfs"}
