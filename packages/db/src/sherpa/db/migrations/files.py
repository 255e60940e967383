"""The migration files on disk: which exist, and in which order.

Listing them reads file names only, so that a run with nothing to do imports neither Piccolo nor a migration.
"""

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

    def read_source(self) -> str:
        """Return the file's text, decoded as Python does; raise `BrokenMigrationError` when that fails."""
        try:
            return importlib.util.decode_source(self.path.read_bytes())
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            raise BrokenMigrationError(f"{self.path} cannot be read: {error}.") from error


def list_files(folder: Path = VERSIONS) -> tuple[MigrationFile, ...]:
    """Return the folder's migrations in the order in which they apply.

    What editors leave behind hidden is none. Raises `BrokenMigrationError` for a name that is none of ours.
    Whether the numbers are in order is for `sherpa.db.migrations.review.contradictions` to say, together with
    what the database knows.
    """
    return tuple(sorted(_read_name(path) for path in folder.glob("[!.]*.py") if path.name != "__init__.py"))


def number_of(migration_id: str) -> int:
    """Return the number that an ID begins with; 0 where it has none, and so is none of ours."""
    digits = re.match(r"\d+", migration_id)
    return int(digits.group()) if digits else 0


def next_number(ids: Iterable[str]) -> int:
    """Return the number after the highest of these IDs'."""
    return max(map(number_of, ids), default=0) + 1


def digest(source: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hex, as the server computes it of a recorded source."""
    return hashlib.sha256(source.encode()).hexdigest()


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
