"""Applies and reverts migrations: one runner at a time, each migration and its record in one transaction.

Killed at any instant, the database is before or after a migration, never between, and the next run goes on.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import IrreversibleError
from sherpa.db.migrations.events import Direction, Report, Step, ignore
from sherpa.db.migrations.execution.blocking import Watcher
from sherpa.db.migrations.execution.execution import Execution
from sherpa.db.migrations.execution.insistence import Insistence, Retries
from sherpa.db.migrations.files import VERSIONS, list_files
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS
from sherpa.db.migrations.migration import Irreversible, Loaded
from sherpa.db.migrations.review.sources import record_absent
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.turn import Turn

_RETRIES: Final = Retries()


async def migrate(
    settings: DatabaseSettings,
    *,
    to: str | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    wait_seconds: float = 0,
    allow_out_of_order: bool = False,
    folder: Path = VERSIONS,
    retries: Retries = _RETRIES,
    report: Report = ignore,
) -> tuple[Step, ...]:
    """Apply the pending migrations, up to and including `to` (an ID or its beginning), and return them.

    Waits `wait_seconds` for a server that does not answer yet. `allow_out_of_order` applies those as well
    that are older than the newest applied one. Takes no lock and loads no migration when there is nothing to
    do. Raises a `MigrationError`.
    """
    files = list_files(folder)
    async with open_session(settings, report, wait_seconds=wait_seconds) as connection:
        turn = Turn(connection, files, lock_wait_seconds, report)
        status, pending = await turn.forwards(to, allow_out_of_order=allow_out_of_order)
        if not pending:
            return ()
        async with _executing(settings, connection, retries, report) as execution:
            done = await _run_all(execution, pending, "forwards", report)
        await record_absent(connection, status.applied, files)
        return done


async def revert(
    settings: DatabaseSettings,
    *,
    steps: int = 1,
    to: str | None = None,
    everything: bool = False,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    wait_seconds: float = 0,
    folder: Path = VERSIONS,
    retries: Retries = _RETRIES,
    report: Report = ignore,
) -> tuple[Step, ...]:
    """Revert the newest `steps` migrations, or all that came after `to`, or `everything`, and return them.

    What a reverted migration created is dropped with the rows in it. Raises a `MigrationError`; an
    `IrreversibleError` before anything is reverted, when one of them has no way back.
    """
    files = list_files(folder)
    async with open_session(settings, report, wait_seconds=wait_seconds) as connection:
        turn = Turn(connection, files, lock_wait_seconds, report)
        applied = await turn.backwards(steps=steps, to=to, everything=everything)
        _require_reversible(applied)
        async with _executing(settings, connection, retries, report) as execution:
            return await _run_all(execution, applied, "backwards", report)


def _require_reversible(newest_first: Sequence[Loaded]) -> None:
    for loaded in newest_first:
        migration = loaded.migration
        if isinstance(migration.backwards, Irreversible):
            is_newest = loaded is newest_first[0]
            reach = "" if is_newest else f" As far as it goes: `inv revert --to {migration.id}`."
            raise IrreversibleError(
                f"{migration.id} has no way back: {migration.backwards.reason.rstrip('.')}. "
                f"Nothing was reverted.{reach}"
            )


@asynccontextmanager
async def _executing(
    settings: DatabaseSettings, connection: asyncpg.Connection, retries: Retries, report: Report
) -> AsyncIterator[Execution]:
    async with Watcher(settings, connection.get_server_pid(), report) as watcher:
        yield Execution(connection, Insistence(watcher, retries, report), report)


async def _run_all(
    execution: Execution, migrations: Sequence[Loaded], direction: Direction, report: Report
) -> tuple[Step, ...]:
    done = []
    for loaded in migrations:
        step = await execution.run(loaded, direction)
        report(step)
        done.append(step)
    return tuple(done)
