"""Where a database's history and the migration files contradict each other, all of it, and what to do.

Checked before anything runs. Those who only ask whether a schema will do use `status` alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import MigrationFile, next_number, number_of
from sherpa.db.migrations.review.sources import find_edited
from sherpa.db.migrations.status import Status, read_status


@dataclass(frozen=True, slots=True)
class Examination:
    """A database's status, and which of its applied migrations do something else now than they did then."""

    status: Status
    edited: tuple[str, ...]

    def contradictions(self, *, allow_out_of_order: bool = False) -> tuple[str, ...]:
        """Return a sentence or two for each: what it is, and what to do."""
        late = () if allow_out_of_order else self._late()
        return (*self._edited(), *self._missing(), *late, *self._twice(), *_numbers(self.status.known_ids))

    def require_agreement(self, *, allow_out_of_order: bool = False) -> Status:
        """Return the status; raise `HistoryError` with every contradiction when there is any."""
        if found := self.contradictions(allow_out_of_order=allow_out_of_order):
            raise HistoryError("\n".join(found))
        return self.status

    def _edited(self) -> Iterable[str]:
        for migration_id in self.edited:
            yield (
                f"{migration_id} was edited after it was applied. Take the edit back, and write a new "
                f"migration for it. If the database is as the file says now: `inv migrations --repair` shows "
                f"the difference and accepts it."
            )

    def _missing(self) -> Iterable[str]:
        # One sentence for all: an older image meets whatever was released since.
        if missing := ", ".join(self.status.missing):
            yield (
                f"The database has {missing}, which this code does not know. Is the code older than the "
                f"database? Then run the command from the newest code. Was a file deleted or renamed? "
                f"Then bring it back: what was applied is in the table `migration`, column `source`."
            )

    def _late(self) -> Iterable[str]:
        newest, number = max(self.status.applied_ids, default=""), next_number(self.status.known_ids)
        for migration_id in self.status.late:
            yield (
                f"{migration_id} came late: {newest} is already applied. Give it the next free number, "
                f"{number:03}, in its file's name and in its ID. If it may well come after that one: "
                f"`inv migrate --allow-out-of-order`."
            )

    def _twice(self) -> Iterable[str]:
        for migration_id, times in Counter(self.status.applied_ids).items():
            if times > 1:
                yield f"{migration_id} is recorded twice in the table `migration`. Delete the newer row."


async def examine(connection: asyncpg.Connection, files: Sequence[MigrationFile]) -> Examination:
    """Compare history and files, down to what the files say; writes nothing, needs SELECT on `migration`."""
    status = await read_status(connection, files)
    return Examination(status, await find_edited(connection, status.applied, files))


def _numbers(ids: Iterable[str]) -> Iterable[str]:
    """Say which numbers are taken twice, and which are left out; what has none is none of ours."""
    ids = tuple(each for each in ids if number_of(each))
    by_number: defaultdict[int, list[str]] = defaultdict(list)
    for migration_id in ids:
        by_number[number_of(migration_id)].append(migration_id)
    for sharing in by_number.values():
        if len(sharing) > 1:
            yield (
                f"{' and '.join(sharing)} share a number: give the newer one the next free one, "
                f"{next_number(ids):03}, in its file's name and in its ID."
            )
    for number in sorted(by_number):
        if number > 1 and number - 1 not in by_number:
            (after, *_) = by_number[number]
            yield (
                f"{after} follows on nothing: there is no {number - 1:03}. Is a file not merged yet? Get it. "
                f"Otherwise give the later ones the numbers without a gap, in their names and in their IDs."
            )
