"""Tells in advance what migrating would do, by doing it in a transaction that is always rolled back.

What it shows is the very SQL, as the server got it; a migration without a transaction is shown, not run, and
so is one that needs what that makes. It writes nothing: even a COMMIT inside a migration fails. But it takes
the locks of what it runs, until its end.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg
from asyncpg.connection import LoggedQuery
from asyncpg.introspection import INTRO_LOOKUP_TYPES

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.errors import (
    BrokenMigrationError,
    EndedTransactionError,
    MigrationError,
    MigrationFailedError,
)
from sherpa.db.migrations.events import Notice, Report, ignore
from sherpa.db.migrations.execution.blocking import Watcher
from sherpa.db.migrations.execution.execution import limits_of, run_in_transaction, way_of
from sherpa.db.migrations.execution.guard import enter, require_same_transaction
from sherpa.db.migrations.execution.insistence import Insistence, Retries
from sherpa.db.migrations.execution.literals import fill_in
from sherpa.db.migrations.failure import explain, is_lost
from sherpa.db.migrations.files import VERSIONS, list_files
from sherpa.db.migrations.lock import LOCK_WAIT_SECONDS
from sherpa.db.migrations.migration import Migration, Run
from sherpa.db.migrations.session import open_session, rolled_back
from sherpa.db.migrations.turn import Turn

type Show = Callable[[str], None]

# It insists on nothing: that somebody is in the way is an answer, too.
_ONCE: Final = Retries(attempts=1)

# COMMIT runs the query of a cursor WITH HOLD, and this one fails. ROLLBACK takes the cursor away; but what
# comes after it is another transaction, and only ours may write.
_LET_NONE_WRITE: Final = "SET default_transaction_read_only = on"
_LET_US_WRITE: Final = """
SET TRANSACTION READ WRITE;
DECLARE sherpa_dry_run CURSOR WITH HOLD FOR
SELECT ('a dry run is never committed' || left(n::text, 0))::int FROM generate_series(1, 1) AS n
"""

# How a migration fails that needs what another one makes.
_LACKING: Final = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedTableError,
)


async def dry_run(
    settings: DatabaseSettings,
    show: Show,
    *,
    to: str | None = None,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    wait_seconds: float = 0,
    allow_out_of_order: bool = False,
    folder: Path = VERSIONS,
    report: Report = ignore,
) -> tuple[str, ...]:
    """Give `show` the SQL of each pending migration, as one text that SQL tools can read; return their IDs.

    Raises a `MigrationError` where migrating would, after showing the SQL that failed.
    """
    async with open_session(settings, report, wait_seconds=wait_seconds) as connection:
        turn = Turn(connection, list_files(folder), lock_wait_seconds, report)
        _, pending = await turn.forwards(to, allow_out_of_order=allow_out_of_order)
        migrations = [loaded.migration for loaded in pending]
        await connection.execute(_LET_NONE_WRITE)
        async with (
            Watcher(settings, connection.get_server_pid(), report) as watcher,
            rolled_back(connection),
        ):
            await connection.execute(_LET_US_WRITE)
            await _Rehearsal(connection, Insistence(watcher, _ONCE, report), report, show).run(migrations)
    return tuple(migration.id for migration in migrations)


class _Rehearsal:
    """The migrations in the open transaction, one after another."""

    def __init__(
        self, connection: asyncpg.Connection, insistence: Insistence, report: Report, show: Show
    ) -> None:
        self._connection = connection
        self._insistence = insistence
        self._report = report
        self._show = show
        self._not_run: list[str] = []

    async def run(self, migrations: Sequence[Migration]) -> None:
        for migration in migrations:
            if not migration.transaction:
                self._show(_shown_only(migration))
                self._not_run.append(migration.id)
            elif self._not_run:
                await self._run_after_others_were_not(migration)
            else:
                await self._run_and_show(migration)

    async def _run_after_others_were_not(self, migration: Migration) -> None:
        await self._connection.execute("SAVEPOINT sherpa_dry_run")
        try:
            await self._run_and_show(migration, unless=_LACKING)
        except MigrationFailedError as error:
            if not isinstance(error.__cause__, _LACKING):
                raise
            await self._connection.execute("ROLLBACK TO SAVEPOINT sherpa_dry_run")
            missing = ", ".join(self._not_run)
            self._report(
                Notice(f"{migration.id} may need what {missing} makes ({error.__cause__}): shown only")
            )
            self._show(_shown_only(migration))
            self._not_run.append(migration.id)

    async def _run_and_show(self, migration: Migration, *, unless: tuple[type[Exception], ...] = ()) -> None:
        sent = [f"-- {migration.id} (forwards)", "BEGIN;", limits_of(migration).as_sql()]
        try:
            await self._run_one(migration, sent)
        except MigrationError as error:
            if not isinstance(error.__cause__, unless):
                self._show("\n".join(sent))
            raise
        self._show("\n".join([*sent, "COMMIT;"]))

    async def _run_one(self, migration: Migration, sent: list[str]) -> None:
        limits = limits_of(migration)
        before = await enter(self._connection, limits, for_transaction=True)
        run = Run(self._connection, migration.id, "forwards", self._report)

        def note(query: LoggedQuery) -> None:
            sent.extend(_as_script(query))

        try:
            with self._connection.query_logger(note):
                try:
                    step = partial(run_in_transaction, run, migration)
                    await self._insistence.run(step, migration.id, limits.lock_seconds)
                finally:
                    await asyncio.sleep(0)  # asyncpg tells its loggers when the loop comes round
            await require_same_transaction(self._connection, before, migration.id)
        except EndedTransactionError as error:
            raise BrokenMigrationError(
                f"{migration.id} would end the runner's transaction by a COMMIT or ROLLBACK of its own: take "
                f"that out. Nothing was written."
            ) from error
        except MigrationError:
            raise
        except Exception as error:
            if is_lost(self._connection, error):
                raise
            raise self._explain(migration, error) from error

    def _explain(self, migration: Migration, error: Exception) -> MigrationFailedError:
        remains = "This was a dry run: nothing was written."
        if self._not_run:
            remains += (
                f" What {', '.join(self._not_run)} would have done was missing, for without a transaction it "
                f"is shown only: that may be all that is wrong."
            )
        return MigrationFailedError(migration.id, "forwards", *explain(error), remains)


def _shown_only(migration: Migration) -> str:
    statements = _statements_of(migration)
    if not migration.transaction:
        return "\n".join([f"-- {migration.id} (forwards), without a transaction: shown only", *statements])
    limits = limits_of(migration).as_sql()
    return "\n".join([f"-- {migration.id} (forwards): shown only", "BEGIN;", limits, *statements, "COMMIT;"])


def _statements_of(migration: Migration) -> list[str]:
    match way_of(migration, "forwards"):
        case str() as script:
            return [_terminated(script)]
        case Sequence() as statements:
            return [_terminated(statement) for statement in statements]
        case Batches() as batches:
            return [f"-- {batches}", _terminated(batches.statement)]
        case work:
            return [f"-- code, which sends what it finds to do: {work!r}"]


def _as_script(query: LoggedQuery) -> list[str]:
    """Return the statements of a query, with its arguments in their places."""
    if query.query == INTRO_LOOKUP_TYPES:  # the driver's own question about a type
        return []
    match query.args:
        case tuple():  # `execute` and `fetch`
            return [_terminated(fill_in(query.query, query.args))]
        case list():  # `executemany`
            return [_terminated(fill_in(query.query, arguments)) for arguments in query.args]
        case _:
            return [f"-- for each of {query.args!r}: {' '.join(query.query.split())}"]


def _terminated(script: str) -> str:
    text = script.strip()
    if text.endswith(";"):
        return text
    is_comment_at_end = "--" in text.rpartition("\n")[2]
    return f"{text}\n;" if is_comment_at_end else f"{text};"
