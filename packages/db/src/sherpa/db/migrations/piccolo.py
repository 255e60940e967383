"""Our migrations as Piccolo's own command wants them. Our runner has no need of it and never imports it."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine.finder import engine_finder
from piccolo.engine.postgres import PostgresEngine

from sherpa.db.migrations.files import APP_NAME
from sherpa.db.migrations.migration import Irreversible, Migration, Way


def manager_of(migration: Migration) -> MigrationManager:
    """Return the migration as Piccolo's MigrationManager, with raw steps on its transaction's session."""
    manager = MigrationManager(
        migration_id=migration.id,
        app_name=APP_NAME,
        description=migration.description,
        wrap_in_transaction=migration.transaction,
    )
    manager.add_raw(_step(migration.forwards))
    manager.add_raw_backwards(_step(migration.backwards))
    return manager


def _step(way: Way | Irreversible) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        match way:
            case str():
                await _session().execute(way)
            case Irreversible(reason):
                raise RuntimeError(f"There is no way back: {reason}")
            case _:
                raise RuntimeError("Piccolo can't run this one: use `python -m sherpa.db`.")

    return run


def _session() -> asyncpg.Connection:
    engine = engine_finder()
    transaction = engine.current_transaction.get() if isinstance(engine, PostgresEngine) else None
    if transaction is None:
        raise RuntimeError("A migration runs only inside a runner's transaction.")
    return cast("asyncpg.Connection", transaction.connection)
