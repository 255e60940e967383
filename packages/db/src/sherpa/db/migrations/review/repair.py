"""Brings the recorded sources in line with the files: what differs is shown first, then accepted."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.events import Report, ignore
from sherpa.db.migrations.files import VERSIONS, MigrationFile, list_files
from sherpa.db.migrations.history import read_sources, write_sources
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS, acquire_lock, require_lock
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.review.sources import find_absent
from sherpa.db.migrations.session import open_session, transaction


@dataclass(frozen=True, slots=True)
class Repair:
    """An applied migration whose recorded source (None: there is none) is to become the file's, `present`."""

    id: str
    recorded: str | None
    present: str

    def difference(self) -> str:
        """Return the unified diff from the recorded source to the file's; empty where none is recorded."""
        lines = difflib.unified_diff(
            (self.recorded or self.present).splitlines(),
            self.present.splitlines(),
            f"{self.id} as applied",
            f"{self.id} as the file is",
            lineterm="",
        )
        return "\n".join(lines)


async def propose_repairs(settings: DatabaseSettings, *, folder: Path = VERSIONS) -> tuple[Repair, ...]:
    """Return what a repair would write, by ID: each edited migration, and each without a source."""
    async with open_session(settings) as connection:
        return await _propose(connection, list_files(folder))


async def repair(
    settings: DatabaseSettings,
    accepted: Sequence[Repair],
    *,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    folder: Path = VERSIONS,
    report: Report = ignore,
) -> tuple[Repair, ...]:
    """Write the accepted repairs that are still to do, under the runners' lock, and return them.

    It is one transaction. Raises `HistoryError` when there is another one to do by now than was accepted.
    """
    async with open_session(settings, report) as connection:
        await acquire_lock(connection, lock_wait_seconds, report)
        proposed = await _propose(connection, list_files(folder))
        if changed := sorted(each.id for each in set(proposed) - set(accepted)):
            raise HistoryError(
                f"{', '.join(changed)} changed after the difference was shown. Nothing was written: "
                f"run the command again."
            )
        async with transaction(connection):
            await require_lock(connection)
            await write_sources(connection, {each.id: each.present for each in proposed})
        return proposed


async def _propose(connection: asyncpg.Connection, files: Sequence[MigrationFile]) -> tuple[Repair, ...]:
    examination = await examine(connection, files)
    edited = [file for file in files if file.id in examination.edited]
    wanted = sorted((*edited, *find_absent(examination.status.applied, files)))
    if not wanted:
        return ()
    recorded = await read_sources(connection, [file.id for file in wanted])
    # What was reverted in between is recorded no more.
    return tuple(
        Repair(file.id, recorded[file.id], file.read_source()) for file in wanted if file.id in recorded
    )
