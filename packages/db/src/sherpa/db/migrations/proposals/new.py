"""Writes new migration files: the next number, both ways, and what the tables as declared make likely.

Nothing is ever overwritten, and where one of several can't be written, none is.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sherpa.db.migrations.errors import NamingError, UnwritableError
from sherpa.db.migrations.files import APP_NAME, VERSIONS, MigrationFile, list_files, next_number
from sherpa.db.migrations.proposals.plan import Draft
from sherpa.db.migrations.proposals.template import EMPTY, render
from sherpa.db.migrations.review.contradictions import Examination
from sherpa.db.migrations.status import Status

LONGEST_NAME: Final = 60


def tidy(words: str) -> str:
    """Return the words as one line of ASCII; raise `NamingError` for what can't be a migration's name."""
    decomposed = unicodedata.normalize("NFKD", words.replace("ß", "ss"))
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    strange = sorted({letter for letter in letters if letter.isalnum() and not letter.isascii()})
    if strange:
        raise NamingError(words, f"it can't be written in ASCII for {' '.join(strange)!r}: use other words")
    text = " ".join(re.sub(r"[^ -~]", " ", letters).replace("\\", "/").replace('"', "'").split())
    if not re.search(r"[A-Za-z0-9]", text):
        raise NamingError(words, "it needs a letter or a digit: say in a few words what the migration does")
    if len(text) > LONGEST_NAME:
        raise NamingError(words, f"it is {len(text)} characters long, and {LONGEST_NAME} are permitted")
    return text


def slug(text: str) -> str:
    """Return the tidied words as a file's name has them: lower case, joined by underscores."""
    return "_".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


def check_name(words: str, folder: Path = VERSIONS) -> None:
    """Raise `NamingError` for bad or taken words, `HistoryError` where numbers are shared or left out."""
    _refuse_taken(words, slug(tidy(words)), _list_in_order(folder))


def write_migrations(
    words: str, drafts: Sequence[Draft] = (), *, folder: Path = VERSIONS
) -> tuple[MigrationFile, ...]:
    """Write a file for each draft, or one to be filled in, and return them in the order to apply them.

    Raises what `check_name` does; `UnwritableError`, leaving nothing.
    """
    text, files = tidy(words), _list_in_order(folder)
    _refuse_taken(words, slug(text), files)
    first = next_number(file.id for file in files)
    new = {
        _name(folder, first + place, slug(text) + (draft.suffix if place else "")): draft
        for place, draft in enumerate(drafts or (EMPTY,))
    }
    _write_all({file.path: render(file.id, text, draft) for file, draft in new.items()})
    return tuple(new)


def _list_in_order(folder: Path) -> tuple[MigrationFile, ...]:
    """Two branches took one number, or a file in between is not merged: another number would bury that."""
    files = list_files(folder)
    Examination(Status((), tuple(file.id for file in files)), ()).require_agreement()
    return files


def _refuse_taken(words: str, name: str, files: Sequence[MigrationFile]) -> None:
    for file in files:
        if file.id.partition("_")[2] == name:
            raise NamingError(words, f"{file.id} has that name already: say what sets this one apart")


def _name(folder: Path, number: int, name: str) -> MigrationFile:
    migration_id = f"{number:03}_{name}"
    return MigrationFile(migration_id, folder / f"{APP_NAME}_{migration_id}.py")


def _write_all(texts: dict[Path, str]) -> None:
    created: list[Path] = []
    try:
        for path, text in texts.items():
            # "x": who finds a file there, be it made this very moment, leaves it as it is.
            with path.open("x", encoding="utf-8", newline="\n") as file:
                created.append(path)
                file.write(text)
    except OSError as error:
        for path in created:
            path.unlink()
        raise UnwritableError(str(error.filename or path), error.strerror or str(error)) from error
