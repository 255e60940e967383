"""What was applied, in Piccolo's own table `migration`, so that Piccolo's tools read the same history."""

from datetime import UTC, datetime

import asyncpg

from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import APP_NAME

# Piccolo's columns, and one thing more: a migration can't be recorded twice. The comment tells our table from
# one that Piccolo made: only ours goes with the last migration.
_MARK = "What sherpa.db applied, and when (UTC); in the format of Piccolo"
_CREATE = f"""
CREATE TABLE migration (
    id SERIAL PRIMARY KEY NOT NULL,
    name VARCHAR(200) NOT NULL DEFAULT '',
    app_name VARCHAR(200) NOT NULL DEFAULT '',
    ran_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (app_name, name)
);
COMMENT ON TABLE migration IS '{_MARK}'
"""
# The casts fail, and say why, where somebody else's table has columns of these names.
_READ = """
SELECT name::text, ran_on::timestamp AS at FROM migration WHERE app_name::text = $1 ORDER BY name
"""
_IS_OURS = "SELECT obj_description('migration'::regclass, 'pg_class') = $1"


async def read_history(connection: asyncpg.Connection) -> tuple[tuple[str, datetime], ...]:
    """Return each applied migration's ID and time (UTC), by ID, in one query that writes nothing.

    A database without the table has no history. Raises `HistoryError` when the table is somebody else's.
    """
    try:
        rows = await connection.fetch(_READ, APP_NAME)
    except asyncpg.UndefinedTableError:
        return ()
    except asyncpg.InsufficientPrivilegeError as error:
        raise HistoryError(f"{error}. This user needs `GRANT SELECT ON migration` at least.") from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError) as error:
        raise HistoryError(
            f"`migration` in this database is not our table: {error.args[0]}. Is DATABASE_URL right?"
        ) from error
    return tuple((row["name"], row["at"].replace(tzinfo=UTC)) for row in rows)


async def record(connection: asyncpg.Connection, migration_id: str) -> None:
    """Write down that the migration is applied; belongs into the migration's own transaction."""
    if await connection.fetchval("SELECT to_regclass('migration') IS NULL"):
        await connection.execute(_CREATE)
    await connection.execute(
        "INSERT INTO migration (name, app_name, ran_on)"
        " VALUES ($1, $2, clock_timestamp() AT TIME ZONE 'UTC')",
        migration_id,
        APP_NAME,
    )


async def forget(connection: asyncpg.Connection, migration_id: str) -> None:
    """Strike the migration out, and remove our table with its last row: nothing of us remains."""
    await connection.execute(
        "DELETE FROM migration WHERE app_name = $1 AND name = $2", APP_NAME, migration_id
    )
    is_empty = not await connection.fetchval("SELECT EXISTS (SELECT FROM migration)")
    if is_empty and await connection.fetchval(_IS_OURS, _MARK):
        await connection.execute("DROP TABLE migration")
