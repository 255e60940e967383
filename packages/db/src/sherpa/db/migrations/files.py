"""The migration files on disk: which exist, and in which order.

Listing them reads file names only, so that a run with nothing to do imports neither Piccolo nor a migration.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sherpa.db.migrations.errors import AmbiguousMigrationError, BrokenMigrationError, UnknownMigrationError

APP_NAME = "sherpa"
VERSIONS = Path(__file__).parent / "versions"

# Piccolo imports a migration by its bare file name: two apps' `001_x.py` would be one. Hence the prefix.
_FILE_NAME = re.compile(rf"{APP_NAME}_(?P<id>(?P<number>\d{{3,}})_[a-z0-9_]+)\.py")


@dataclass(frozen=True, slots=True, order=True)
class MigrationFile:
    """One migration: `id` is its file's name without the app, and orders it."""

    id: str
    path: Path

    @property
    def number(self) -> str:
        """The digits that the ID begins with."""
        return self.id.partition("_")[0]


def list_files(folder: Path = VERSIONS) -> tuple[MigrationFile, ...]:
    """Return the folder's migrations in the order in which they apply.

    Raises `BrokenMigrationError` for a name that is none of ours and for two files with one number.
    """
    files = sorted(_read_name(path) for path in folder.glob("*.py") if path.name != "__init__.py")
    for earlier, later in pairwise(files):
        if earlier.number == later.number:
            raise BrokenMigrationError(
                f"{earlier.path.name} and {later.path.name} share the number {later.number}: "
                f"give the newer one the next free number, in its name and in its ID."
            )
    return tuple(files)


def complete(wanted: str, known: Sequence[str]) -> str:
    """Return the one ID that `wanted` is, or begins; raise a `TargetError` when there is none or several."""
    if wanted in known:
        return wanted
    match [migration_id for migration_id in known if wanted and migration_id.startswith(wanted)]:
        case [only]:
            return only
        case []:
            raise UnknownMigrationError(wanted, known)
        case candidates:
            raise AmbiguousMigrationError(wanted, candidates)


def _read_name(path: Path) -> MigrationFile:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise BrokenMigrationError(
            f"{path} is no migration: only files called {APP_NAME}_<number>_<what>.py belong in this folder."
        )
    return MigrationFile(match["id"], path)
