"""Applies and reverts migrations: one runner at a time, each migration and its record in one transaction.

Killed at any instant, the database is before or after a migration, never between, and the next run goes on.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import (
    BrokenMigrationError,
    ConnectionFailedError,
    MigrationError,
    MigrationFailedError,
    TargetError,
)
from sherpa.db.migrations.events import Direction, Report, Step, ignore
from sherpa.db.migrations.failure import explain, point_at
from sherpa.db.migrations.files import VERSIONS, MigrationFile, complete, list_files
from sherpa.db.migrations.history import forget, record
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS, acquire_lock, require_lock
from sherpa.db.migrations.migration import Irreversible, Migration, Run, Way
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.status import Status, check_history, read_status

_TRANSACTION = "SELECT pg_current_xact_id()::text"


async def migrate(
    settings: DatabaseSettings,
    *,
    to: str | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    folder: Path = VERSIONS,
    report: Report = ignore,
) -> tuple[Step, ...]:
    """Apply the pending migrations, up to and including `to` (an ID or its beginning), and return them.

    Takes no lock and loads no migration when there is nothing to do. Raises a `MigrationError`.
    """
    files = list_files(folder)
    async with open_session(settings, report) as connection:
        status = await _read_checked(connection, files)
        target = complete_forwards(to, status)
        if not choose_pending(status, target):
            return ()
        await acquire_lock(connection, lock_wait_seconds, report)
        chosen = choose_pending(await _read_checked(connection, files), target)
        return await _run_all(connection, files, chosen, "forwards", report)


async def revert(
    settings: DatabaseSettings,
    *,
    steps: int = 1,
    to: str | None = None,
    everything: bool = False,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    folder: Path = VERSIONS,
    report: Report = ignore,
) -> tuple[Step, ...]:
    """Revert the newest `steps` migrations, or all that came after `to`, or `everything`, and return them.

    What a reverted migration created is dropped with the rows in it. Raises a `MigrationError`.
    """
    files = list_files(folder)
    async with open_session(settings, report) as connection:
        await acquire_lock(connection, lock_wait_seconds, report)
        status = await _read_checked(connection, files)
        chosen = choose_applied(status, steps=steps, to=to, everything=everything)
        return await _run_all(connection, files, chosen, "backwards", report)


def complete_forwards(to: str | None, status: Status) -> str | None:
    """Return the whole ID of the target, or raise a `TargetError` when the database is already beyond it."""
    if to is None:
        return None
    target = complete(to, status.known_ids)
    if status.applied_ids and target < status.applied_ids[-1]:
        raise TargetError(
            f"The database is already at {status.applied_ids[-1]}, beyond {target}. "
            f"To go back, use `inv revert --to {target}`."
        )
    return target


def choose_pending(status: Status, target: str | None) -> tuple[str, ...]:
    """Return the pending migrations up to the target, in the order in which they apply."""
    return tuple(each for each in status.pending if target is None or each <= target)


def choose_applied(status: Status, *, steps: int, to: str | None, everything: bool) -> tuple[str, ...]:
    """Return what to revert, newest first; raise a `TargetError` for what is not applied."""
    newest_first = status.applied_ids[::-1]
    if everything:
        return newest_first
    if to is not None:
        target = complete(to, status.known_ids)
        if target not in newest_first:
            raise TargetError(f"{target} is not applied, so there is no way back to it: use `inv migrate`.")
        return tuple(each for each in newest_first if each > target)
    if newest_first and steps > len(newest_first):
        raise TargetError(
            f"{steps} steps back are more than the {len(newest_first)} that are applied: use --all."
        )
    return newest_first[:steps]


async def _read_checked(connection: asyncpg.Connection, files: Sequence[MigrationFile]) -> Status:
    status = await read_status(connection, files)
    check_history(status)
    return status


async def _run_all(
    connection: asyncpg.Connection,
    files: Sequence[MigrationFile],
    chosen: Sequence[str],
    direction: Direction,
    report: Report,
) -> tuple[Step, ...]:
    by_id = {file.id: file for file in files}
    # All files are read before the first runs: a broken one leaves nothing half-done.
    migrations = [load(by_id[migration_id]) for migration_id in chosen]
    done = []
    for migration in migrations:
        step = await _run(connection, migration, direction, report)
        report(step)
        done.append(step)
    return tuple(done)


async def _run(
    connection: asyncpg.Connection, migration: Migration, direction: Direction, report: Report
) -> Step:
    started = time.monotonic()
    try:
        async with connection.transaction():
            await require_lock(connection)
            await _run_steps(Run(connection, migration.id, direction, report), migration)
    except MigrationError:
        raise
    except Exception as error:
        raise _explain(connection, migration, direction, error) from error
    return Step(migration.id, direction, time.monotonic() - started)


async def _run_steps(run: Run, migration: Migration) -> None:
    connection = run.connection
    before = await connection.fetchval(_TRANSACTION)
    await _go(run, migration.forwards if run.direction == "forwards" else migration.backwards)
    if before != await connection.fetchval(_TRANSACTION):
        raise BrokenMigrationError(
            f"{migration.id} ended the runner's transaction by a COMMIT or ROLLBACK of its own. "
            f"What it did before that may stay, and is not recorded: undo it by hand, take the COMMIT out, "
            f"run the command again."
        )
    await (record if run.direction == "forwards" else forget)(connection, migration.id)


async def _go(run: Run, way: Way | Irreversible) -> None:
    match way:
        case Irreversible(reason):
            raise BrokenMigrationError(f"{run.migration_id} has no way back: {reason}")
        case str():
            await _execute(run.connection, way)
        case Sequence():
            for statement in way:
                await _execute(run.connection, statement)
        case _:
            await way(run)


async def _execute(connection: asyncpg.Connection, script: str) -> None:
    try:
        await connection.execute(script)
    except asyncpg.PostgresError as error:
        point_at(error, script)
        raise


def _explain(
    connection: asyncpg.Connection, migration: Migration, direction: Direction, error: Exception
) -> MigrationError:
    if connection.is_closed():
        return ConnectionFailedError(
            f"The connection broke while {migration.id} ran {direction}. It is applied whole or not at all: "
            f"run the command again."
        )
    return MigrationFailedError(migration.id, direction, *explain(error))
