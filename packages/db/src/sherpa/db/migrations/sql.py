"""How a migration file says what it does: plain SQL both ways, in the shape that Piccolo's tools read.

Under our runner the SQL runs on the runner's one session; under Piccolo's own command, in its transaction.
"""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine.finder import engine_finder
from piccolo.engine.postgres import PostgresEngine

from sherpa.db.migrations.failure import point_at
from sherpa.db.migrations.files import APP_NAME
from sherpa.db.migrations.session import pinned


def sql_migration(migration_id: str, description: str, *, forwards: str, backwards: str) -> MigrationManager:
    """Describe a migration by two scripts; each may hold many statements and runs as one, all or nothing."""
    manager = MigrationManager(migration_id=migration_id, app_name=APP_NAME, description=description)
    manager.add_raw(_script(forwards))
    manager.add_raw_backwards(_script(backwards))
    return manager


def session() -> asyncpg.Connection:
    """Return the connection that the migration under way must use, inside its transaction."""
    if (connection := pinned()) is not None:
        return connection
    engine = engine_finder()
    transaction = engine.current_transaction.get() if isinstance(engine, PostgresEngine) else None
    if transaction is None:
        raise RuntimeError("A migration runs only inside a runner's transaction.")
    return cast("asyncpg.Connection", transaction.connection)


def _script(statements: str) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        try:
            await session().execute(statements)
        except asyncpg.PostgresError as error:
            point_at(error, statements)
            raise

    return run
