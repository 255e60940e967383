"""Runs one migration and its record: in one transaction, or statement by statement where it opts out.

Killed at any instant, a migration in a transaction is applied whole or not at all; one without goes on at its
next run.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg

from sherpa.db.migrations.checkpoints import clear_checkpoints
from sherpa.db.migrations.errors import (
    ROLLED_BACK,
    BrokenMigrationError,
    ConnectionFailedError,
    EndedTransactionError,
    IndexBusyError,
    MigrationError,
    MigrationFailedError,
)
from sherpa.db.migrations.events import Direction, Report, Step
from sherpa.db.migrations.execution.concurrently import (
    ConcurrentIndex,
    is_concurrent,
    read_index,
    remove_invalid,
    require_valid,
)
from sherpa.db.migrations.execution.guard import (
    Limits,
    enter,
    require_same_session,
    require_same_transaction,
)
from sherpa.db.migrations.execution.insistence import Insistence
from sherpa.db.migrations.failure import explain, is_lost, name_end, point_at
from sherpa.db.migrations.history import forget, prepare_table, record
from sherpa.db.migrations.migration import Irreversible, Loaded, Migration, Run, Way
from sherpa.db.migrations.session import LOCK_SECONDS, transaction

# A concurrent build waits for every older transaction, and nobody's reading or writing queues behind it.
CONCURRENT_LOCK_SECONDS: Final = 300.0

_RESUMABLE: Final = "It runs without a transaction: what it did stays, and its next run goes on from there."


class Execution:
    """Runs migrations on one session, one after another; the session holds the runner's lock."""

    def __init__(self, connection: asyncpg.Connection, insistence: Insistence, report: Report) -> None:
        self._connection = connection
        self._insistence = insistence
        self._report = report
        self._is_prepared = False

    async def run(self, loaded: Loaded, direction: Direction) -> Step:
        """Run it one way and write that down; raise a `MigrationError` that says what is left of it."""
        started = time.monotonic()
        migration = loaded.migration
        try:
            if migration.transaction:
                whole = partial(self._run_whole, loaded, direction, started)
                await self._insistence.run(whole, migration.id, limits_of(migration).lock_seconds)
            else:
                await self._run_in_steps(loaded, direction, started)
        except MigrationError:
            raise
        except Exception as error:
            raise self._explain(migration, direction, error) from error
        # Committed with the record: with hundreds of migrations it shows when each asks for it again.
        self._is_prepared = direction == "forwards"
        return Step(migration.id, direction, time.monotonic() - started)

    async def _run_whole(self, loaded: Loaded, direction: Direction, started: float) -> None:
        migration = loaded.migration
        async with transaction(self._connection):
            before = await enter(self._connection, limits_of(migration), for_transaction=True)
            await run_in_transaction(Run(self._connection, migration.id, direction, self._report), migration)
            await require_same_transaction(self._connection, before, migration.id)
            await self._write_down(loaded, direction, started)

    async def _run_in_steps(self, loaded: Loaded, direction: Direction, started: float) -> None:
        migration = loaded.migration
        before = await enter(self._connection, limits_of(migration), for_transaction=False)
        match way_of(migration, direction):
            case str():  # refused when it is loaded
                raise BrokenMigrationError(f"{migration.id} has a script where single statements belong.")
            case Sequence() as statements:
                for statement in statements:
                    await self._run_statement(migration, statement)
            case work:
                code = partial(work, Run(self._connection, migration.id, direction, self._report))
                await self._insistence.run(code, migration.id, limits_of(migration).lock_seconds)
        await require_same_session(self._connection, before, migration.id)
        async with transaction(self._connection):
            await enter(self._connection, Limits(LOCK_SECONDS), for_transaction=True)
            await clear_checkpoints(self._connection, migration.id)
            await self._write_down(loaded, direction, started)

    async def _run_statement(self, migration: Migration, statement: str) -> None:
        index = read_index(statement)
        limits = limits_of(migration, statement)
        try:
            step = partial(self._try_statement, statement, index, limits)
            await self._insistence.run(step, migration.id, limits.lock_seconds)
        except asyncpg.PostgresError as error:
            point_at(error, statement)
            if index is not None and not is_lost(self._connection, error):
                await self._clean_up(index, error)
            raise

    async def _try_statement(self, statement: str, index: ConcurrentIndex | None, limits: Limits) -> None:
        await enter(self._connection, limits, for_transaction=False)
        if index is not None:
            await remove_invalid(self._connection, index, self._report)
        # Not `execute`, which takes several statements, and makes one transaction of them.
        await self._connection.fetch(statement)
        if index is not None:
            await require_valid(self._connection, index)

    async def _clean_up(self, index: ConcurrentIndex, error: Exception) -> None:
        try:
            await enter(self._connection, Limits(LOCK_SECONDS), for_transaction=False)
            await remove_invalid(self._connection, index, self._report)
        except (asyncpg.PostgresError, IndexBusyError) as fault:
            error.add_note(f"an invalid index {index.name} remains ({fault}); the next run removes it")

    async def _write_down(self, loaded: Loaded, direction: Direction, started: float) -> None:
        if direction == "forwards":
            if not self._is_prepared:
                await prepare_table(self._connection)
            seconds = time.monotonic() - started
            await record(
                self._connection, loaded.migration.id, source=loaded.source, duration_seconds=seconds
            )
        else:
            await forget(self._connection, loaded.migration.id)

    def _explain(self, migration: Migration, direction: Direction, error: Exception) -> MigrationError:
        if is_lost(self._connection, error):
            certain = "It is done whole or not at all." if migration.transaction else _RESUMABLE
            return ConnectionFailedError(
                f"The connection broke while {migration.id} ran {direction} ({name_end(error)}). {certain} "
                f"Run the command again."
            )
        remains = ROLLED_BACK if migration.transaction else _RESUMABLE
        return MigrationFailedError(migration.id, direction, *explain(error), remains)


async def run_in_transaction(run: Run, migration: Migration) -> None:
    """Run the migration's script, statements or code in the open transaction, and notice when it is gone."""
    try:
        match way_of(migration, run.direction):
            case str() as script:
                await _execute(run.connection, script)
            case Sequence() as statements:
                for statement in statements:
                    await _execute(run.connection, statement)
            case work:
                await work(run)
    except asyncpg.PostgresError as error:
        if not run.connection.is_closed() and not run.connection.is_in_transaction():
            raise EndedTransactionError(migration.id) from error
        raise


def way_of(migration: Migration, direction: Direction) -> Way:
    """Return what to run; who calls has made sure that a way back exists."""
    way = migration.forwards if direction == "forwards" else migration.backwards
    if isinstance(way, Irreversible):
        raise BrokenMigrationError(f"{migration.id} has no way back: {way.reason}")
    return way


def limits_of(migration: Migration, statement: str = "") -> Limits:
    """Return the limits that the migration sets, or the runner's own."""
    lock_seconds = migration.lock_timeout_seconds
    if lock_seconds is None:
        lock_seconds = CONCURRENT_LOCK_SECONDS if is_concurrent(statement) else LOCK_SECONDS
    return Limits(lock_seconds, migration.statement_timeout_seconds or 0)


async def _execute(connection: asyncpg.Connection, script: str) -> None:
    try:
        await connection.execute(script)
    except asyncpg.PostgresError as error:
        point_at(error, script)
        raise
