"""Our migrations as Piccolo's own command wants them. Our runner has no need of it and never imports it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine.finder import engine_finder
from piccolo.engine.postgres import PostgresEngine

from sherpa.db.migrations.files import APP_NAME
from sherpa.db.migrations.migration import Irreversible, Migration, Way


def manager_of(migration: Migration) -> MigrationManager:
    """Return the migration as Piccolo's MigrationManager, with raw steps.

    They run on the session of Piccolo's transaction; or, where the migration has none, on a new connection.
    Code can't be run so, and where there is no way back, there is none for Piccolo either: RuntimeError.
    """
    manager = MigrationManager(
        migration_id=migration.id,
        app_name=APP_NAME,
        description=migration.description,
        wrap_in_transaction=migration.transaction,
    )
    manager.add_raw(_step(migration, migration.forwards))
    manager.add_raw_backwards(_step(migration, migration.backwards))
    return manager


def _step(migration: Migration, way: Way | Irreversible) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        statements = _statements_of(migration, way)
        async with _session() if migration.transaction else _new_session() as connection:
            for statement in statements:
                await connection.execute(statement)

    return run


def _statements_of(migration: Migration, way: Way | Irreversible) -> Sequence[str]:
    match way:
        case str():
            return (way,)
        case Irreversible(reason):
            raise RuntimeError(f"{migration.id} has no way back: {reason}")
        case Sequence():
            return way
        case _:
            raise RuntimeError(f"{migration.id} runs code, which Piccolo can't: use `python -m sherpa.db`.")


@asynccontextmanager
async def _session() -> AsyncIterator[asyncpg.Connection]:
    transaction = _engine().current_transaction.get()
    if transaction is None:
        raise RuntimeError("A migration runs only inside a runner's transaction.")
    yield cast("asyncpg.Connection", transaction.connection)


@asynccontextmanager
async def _new_session() -> AsyncIterator[asyncpg.Connection]:
    connection = await _engine().get_new_connection()
    try:
        yield connection
    finally:
        await connection.close()


def _engine() -> PostgresEngine:
    return cast("PostgresEngine", engine_finder())  # Piccolo's command is set up by our piccolo_conf
