"""Where a session's servers keep their files: in memory where there is room, else in the folder for temporary files."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - not a file name that can be guessed: see `claim`
# A session with two workers uses about 150 MB; Docker gives a container 64 MB of shared memory by default.
ROOM_BYTES = 512 * 1024 * 1024


class UnsafePlaceError(Exception):
    """The folder for test servers belongs to someone else."""


def choose() -> Path:
    """Return the folder of all sessions of this user. It is not made here."""
    return _base() / f"choice-sherpa-tests-{os.getuid()}"


def _base() -> Path:
    has_room = os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    return MEMORY if has_room else Path(tempfile.gettempdir())


def claim(place: Path) -> None:
    """Make the folder, or check that it is ours: a stranger may make files in a folder that everyone can write.

    Root's servers run as another user, who must be able to pass through. Raises UnsafePlaceError.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnsafePlaceError(
            f"{place} belongs to another user: remove it, or name another with --test-servers."
        )
    if os.geteuid() == 0:
        place.chmod(0o711)


def is_memory(place: Path) -> bool:
    """Whether this folder lives in memory. It decides how PostgreSQL copies a database fastest."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return False
    around = [(Path(mount[1]), mount[2]) for mount in mounts if place.is_relative_to(mount[1])]
    return bool(around) and max(around, key=lambda mount: len(mount[0].parts))[1] in {"tmpfs", "ramfs"}
