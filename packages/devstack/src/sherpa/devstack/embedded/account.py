"""Whom the embedded servers run as, and places that this user can reach.

PostgreSQL refuses to run as root. Root therefore runs the servers as `nobody`, from /var/lib/choice-sherpa;
everyone else runs them as themselves, from the checkout and their own cache folder.
"""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import platformdirs

from sherpa.devstack.errors import UnusableAccountError

ROOT_PLACE = Path("/var/lib/choice-sherpa")
NOBODY = 65534
# To give files away, read them afterwards, change their modes, signal the servers, and become their user.
CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}


@dataclass(frozen=True)
class Account:
    """The user that the servers run as. `switch` is (uid, gid) when that isn't ourselves."""

    name: str
    switch: tuple[int, int] | None
    binaries: Path

    def data_place(self, checkout: Path, identity: str) -> Path:
        """Where the servers of one checkout keep their data: inside the checkout unless we are root."""
        return checkout / ".sherpa" if self.switch is None else ROOT_PLACE / identity

    def make_private(self, directory: Path) -> Path:
        """Make a directory that only the servers' user can read, below parents that this user can pass.

        Raises UnusableAccountError when it can't be made or can't be reached.
        """
        try:
            self.make_parents(directory)
            directory.mkdir(mode=0o700, exist_ok=True)
            self.own(directory)
        except OSError as error:
            raise UnusableAccountError(
                f"{directory} can't be made for user {self.name}: {error.strerror}.",
                remedy="Check that the place is writable and that the disk has room (df -h).",
            ) from error
        self.require_reach(directory)
        return directory

    def make_parents(self, path: Path) -> None:
        """Make the directories above a path: passable for a servers' user other than us, else private."""
        missing = [parent for parent in path.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            parent.chmod(0o755 if self.switch else 0o700)

    def own(self, path: Path) -> None:
        """Give a file or directory to the servers' user; nothing happens when that is ourselves."""
        if self.switch and path.stat().st_uid != self.switch[0]:
            os.chown(path, *self.switch)

    def require_reach(self, path: Path) -> None:
        """Raise UnusableAccountError when a parent of this path shuts the servers' user out."""
        if self.switch is None:
            return
        for parent in path.resolve().parents:
            if not parent.stat().st_mode & stat.S_IXOTH:
                raise UnusableAccountError(
                    f"PostgreSQL refuses to run as root, so {self.name} runs it, who can't enter {parent}.",
                    remedy=f"Let others pass (chmod o+x {parent}), or run this as an ordinary user.",
                )


@cache
def current_account() -> Account:
    """The account for whoever runs this process. Raises UnusableAccountError where there is none."""
    if os.geteuid() != 0:
        # First the name: who has none has no home to cache in, either, and platformdirs would only say that.
        name = _name_of(os.geteuid())
        cached = platformdirs.user_cache_path("choice-sherpa", appauthor=False)
        return Account(name, None, cached / "binaries")
    uid, gid = _nobody()
    _require_switch(uid, gid)
    return Account(_name_of(uid), (uid, gid), ROOT_PLACE / "binaries")


def remove_tree(directory: Path) -> None:
    """Remove a directory with all that is in it, if it is there."""
    if directory.exists():
        shutil.rmtree(directory)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        # initdb looks its user up by itself, and its own message doesn't say what to do.
        raise UnusableAccountError(
            f"User {uid} has no entry in /etc/passwd, and PostgreSQL's initdb needs one.",
            remedy=f'As root: echo "sherpa:x:{uid}:{uid}::/tmp:/bin/sh" >> /etc/passwd',
        ) from error


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid


def _require_switch(uid: int, gid: int) -> None:
    """Raise UnusableAccountError when this root may not run servers as another user, and look after them."""
    if missing := _missing_capabilities():
        raise UnusableAccountError(
            f"PostgreSQL refuses to run as root, and this root may not run it as another user: "
            f"it lacks the capabilities {', '.join(missing)} (--cap-drop).",
            remedy=f"Run the container with {' '.join(f'--cap-add {name}' for name in missing)}, "
            "or as an ordinary user.",
        )
    try:
        subprocess.run(["/bin/sh", "-c", ":"], user=uid, group=gid, extra_groups=[], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnusableAccountError(
            f"PostgreSQL refuses to run as root, and this root can't become user {uid}: {error}.",
            remedy="Run this as an ordinary user, or outside the user namespace that has no other users.",
        ) from error


def _missing_capabilities() -> list[str]:
    """What we need and don't have of Linux's capabilities; a container's default set has them all."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return []
    effective = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), -1)
    return [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
