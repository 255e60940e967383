"""Adopts a database that somebody else made: records migrations as applied once that is proven.

The proof: they are run in a schema that is rolled back, and what they make there is what stands here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import Snapshot
from sherpa.db.dsn import describe_server
from sherpa.db.migrations.comparison.drift import compare, describe
from sherpa.db.migrations.comparison.scratch import Scratch, scratch_schema
from sherpa.db.migrations.errors import DriftError, HistoryError
from sherpa.db.migrations.events import Report, ignore
from sherpa.db.migrations.execution.execution import run_in_transaction, way_of
from sherpa.db.migrations.files import VERSIONS, MigrationFile, complete, list_files
from sherpa.db.migrations.history import prepare_table, record
from sherpa.db.migrations.loading import load_with_source
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS, acquire_lock, require_lock
from sherpa.db.migrations.migration import Loaded, Run
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.session import open_session, transaction
from sherpa.db.migrations.sqltext import without_word


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was recorded, by ID, and which relations of the same schema no migration of ours knows."""

    adopted: tuple[str, ...]
    foreign: tuple[str, ...]


async def adopt(
    settings: DatabaseSettings,
    newest: str,
    *,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    wait_seconds: float = 0,
    folder: Path = VERSIONS,
    report: Report = ignore,
) -> Baseline:
    """Record all migrations up to `newest` (an ID or its beginning) as applied; run none of them.

    What is recorded already stays as it is. Raises `DriftError` unless the schema is what all of them make,
    and `HistoryError` where `newest` is recorded already.
    """
    files = list_files(folder)
    async with open_session(settings, report, wait_seconds=wait_seconds) as connection:
        await acquire_lock(connection, lock_wait_seconds, report)
        target = complete(newest, [file.id for file in files])
        applied = await _applied_before(connection, files, target)
        migrations = [load_with_source(file) for file in files if file.id <= target]
        foreign = await _compare(connection, migrations, describe_server(settings))
        async with transaction(connection):
            await require_lock(connection)
            new = [each for each in migrations if each.migration.id not in applied]
            await prepare_table(connection)
            for each in new:
                await record(connection, each.migration.id, source=each.source)
        return Baseline(tuple(each.migration.id for each in new), foreign)


async def _applied_before(
    connection: asyncpg.Connection, files: Sequence[MigrationFile], target: str
) -> tuple[str, ...]:
    status = (await examine(connection, files)).require_agreement()
    if status.applied_ids and status.applied_ids[-1] >= target:
        raise HistoryError(
            f"This database has a history already, up to {status.applied_ids[-1]}, so there is nothing to "
            f"adopt: `inv migrate` applies what is pending."
        )
    return status.applied_ids


async def _compare(
    connection: asyncpg.Connection, migrations: Sequence[Loaded], server: str
) -> tuple[str, ...]:
    """Return what stands in the schema beside ours; raise `DriftError` unless ours is as we would make it."""
    async with scratch_schema(connection) as scratch:
        await _replay(scratch, migrations)
        made = await scratch.snapshot()
        found = await scratch.actual()
    foreign = _relations(found) - _relations(made)
    differences = compare(made, found.without(foreign), home=scratch.home)
    beside = [each for each in differences if each.table is None and each.declared is None]
    if ours := [each for each in differences if each not in beside]:
        raise DriftError(
            f"{server} is not what {migrations[-1].migration.id} and those before it make (that is what "
            f"`declared` means here):\n\n{describe(ours)}\n\n"
            f"Nothing was recorded. Bring the database in line, or take the ID that it is at."
        )
    names = {name.removeprefix(f"{scratch.home}.") for name in foreign} | {each.name for each in beside}
    return tuple(sorted(names))


async def _replay(scratch: Scratch, migrations: Sequence[Loaded]) -> None:
    connection = scratch.connection
    # What a migration has to tell concerns a database that it is applied to.
    await connection.execute("SET LOCAL client_min_messages = warning")
    for each in migrations:
        if each.migration.transaction:
            run = Run(connection, each.migration.id, "forwards", ignore)
            await run_in_transaction(run, each.migration)
            continue
        way = way_of(each.migration, "forwards")
        # Code without a transaction moves rows, and here are none.
        for statement in way if isinstance(way, Sequence) else ():
            await connection.execute(without_word(statement, "CONCURRENTLY"))


def _relations(made: Snapshot) -> set[str]:
    return {fact.relation for fact in made.facts if fact.relation}
