"""Every migration that the database or the code knows, each with its state: what `migrations` shows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.history import Record
from sherpa.db.migrations.review.contradictions import Examination

type State = Literal["applied", "pending", "edited", "missing", "late"]

# Importing hundreds of files to learn their names would take longer than all the rest.
_DESCRIPTION = re.compile(r"""^DESCRIPTION(?:: *\w+)? *= *(?:"([^"\\\n]+)"|'([^'\\\n]+)')""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listed:
    """One migration; `record` is None while it is not applied.

    `name` is the file's DESCRIPTION where that is a plain literal, else the words of the ID.
    """

    id: str
    name: str
    state: State
    record: Record | None = None


def list_migrations(examination: Examination, files: Sequence[MigrationFile]) -> tuple[Listed, ...]:
    """Return them by ID; one that is recorded twice comes twice."""
    names = {file.id: _read_name(file) for file in files}
    status = examination.status
    states: dict[str, State] = {
        **dict.fromkeys(status.pending, "pending"),
        **dict.fromkeys(status.late, "late"),
        **dict.fromkeys(status.missing, "missing"),
        **dict.fromkeys(examination.edited, "edited"),
    }
    applied = [
        Listed(each.id, names.get(each.id) or _words(each.id), states.get(each.id, "applied"), each)
        for each in status.applied
    ]
    pending = [Listed(each, names[each], states[each]) for each in status.pending]
    return tuple(sorted(applied + pending, key=lambda listed: listed.id))


def _read_name(file: MigrationFile) -> str:
    described = _DESCRIPTION.search(file.read_source())
    return (described[1] or described[2]) if described else _words(file.id)


def _words(migration_id: str) -> str:
    return migration_id.partition("_")[2].replace("_", " ") or migration_id
