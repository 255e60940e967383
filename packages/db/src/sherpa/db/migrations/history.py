"""What was applied, in Piccolo's own table `migration`, so that Piccolo's tools read the same history.

Ours are three more columns, which Piccolo does not look at, and a table without them is read all the same.
"""

import getpass
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from sherpa.db.migrations.errors import HistoryError, MigrationError
from sherpa.db.migrations.files import APP_NAME

# Piccolo's columns, then ours, and one thing more: a migration can't be recorded twice. The comment tells our
# table from one that Piccolo made: only ours goes with the last migration.
_MARK = "What sherpa.db applied, and when (UTC); in the format of Piccolo"
_CREATE = f"""
CREATE TABLE migration (
    id SERIAL PRIMARY KEY NOT NULL,
    name VARCHAR(200) NOT NULL DEFAULT '',
    app_name VARCHAR(200) NOT NULL DEFAULT '',
    ran_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    source TEXT,
    applied_by TEXT,
    duration_seconds DOUBLE PRECISION,
    UNIQUE (app_name, name)
);
COMMENT ON TABLE migration IS '{_MARK}'
"""
_OUR_COLUMNS = ("source", "applied_by", "duration_seconds")
_ADD_COLUMNS = """
ALTER TABLE migration
    ADD COLUMN IF NOT EXISTS source TEXT,
    ADD COLUMN IF NOT EXISTS applied_by TEXT,
    ADD COLUMN IF NOT EXISTS duration_seconds DOUBLE PRECISION
"""
_DROP_COLUMNS = """
ALTER TABLE migration
    DROP COLUMN IF EXISTS source, DROP COLUMN IF EXISTS applied_by, DROP COLUMN IF EXISTS duration_seconds
"""
_SHAPE = """
SELECT to_regclass('migration') IS NOT NULL AS exists, count(*) = cardinality($1::text[]) AS is_complete
FROM pg_attribute WHERE attrelid = to_regclass('migration') AND attname = ANY ($1)
"""

# Where the table lacks a column of ours, its name means the one of `absent`, from the query around: thus one
# query reads the old format and the new one. The casts fail, and say why, where somebody else's table has
# columns of these names.
_COLUMNS = """
FROM (SELECT NULL::text AS source, NULL::text AS applied_by, NULL::float8 AS duration_seconds) AS absent,
LATERAL (
    SELECT name::text, ran_on::timestamp AS at, app_name::text AS app,
           source::text, applied_by::text, duration_seconds::float8
    FROM migration
) AS applied
WHERE applied.app = $1
"""
_READ = f"""
SELECT applied.name AS id, applied.at, applied.applied_by, applied.duration_seconds,
       encode(sha256(convert_to(applied.source, 'UTF8')), 'hex') AS digest
{_COLUMNS} ORDER BY applied.name
"""
_READ_SOURCES = f"SELECT applied.name, applied.source {_COLUMNS} AND applied.name = ANY ($2)"
_RECORD = """
INSERT INTO migration (name, app_name, ran_on, source, applied_by, duration_seconds)
VALUES ($1, $2, clock_timestamp() AT TIME ZONE 'UTC', $3, $4 || ' as ' || current_user, $5)
"""
_WRITE_SOURCE = "UPDATE migration SET source = $3 WHERE app_name = $1 AND name = $2"
# Columns of ours, and no record of ours: in a table that Piccolo made, and that stays.
_IS_LEFTOVER = """
SELECT NOT EXISTS (SELECT FROM migration WHERE app_name = $1)
   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'migration'::regclass AND attname = ANY ($2))
"""
_IS_OURS = "SELECT obj_description('migration'::regclass, 'pg_class') = $1"


@dataclass(frozen=True, slots=True)
class Record:
    """One applied migration: `at` is in UTC, `applied_by` is "user@host as role".

    `digest` is the SHA-256, in hex, of the source that was applied. What an older runner, or Piccolo's
    command, did not write down is None.
    """

    id: str
    at: datetime
    applied_by: str | None = None
    duration_seconds: float | None = None
    digest: str | None = None


async def read_history(connection: asyncpg.Connection) -> tuple[Record, ...]:
    """Return what is applied, by ID, in one query that writes nothing.

    A database without the table has no history. Raises `HistoryError` when the table is somebody else's, and
    `MigrationError` when this role may not read it.
    """
    try:
        rows = await connection.fetch(_READ, APP_NAME)
    except asyncpg.UndefinedTableError:
        return ()
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{error}. This user needs `GRANT SELECT ON migration` at least.") from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError, OverflowError) as error:
        raise _not_ours(str(error.args[0])) from error
    if any(row["id"] is None or row["at"] is None for row in rows):
        raise _not_ours("a row of it has no name or no time")
    return tuple(Record(**{**row, "at": row["at"].replace(tzinfo=UTC)}) for row in rows)


def _not_ours(reason: str) -> HistoryError:
    return HistoryError(f"`migration` in this database is not our table: {reason}. Is DATABASE_URL right?")


async def read_sources(connection: asyncpg.Connection, ids: Collection[str]) -> dict[str, str | None]:
    """Return the source of each of these migrations as it was applied; None where none is recorded."""
    rows = await connection.fetch(_READ_SOURCES, APP_NAME, list(ids))
    return {row["name"]: row["source"] for row in rows}


async def record(
    connection: asyncpg.Connection,
    migration_id: str,
    *,
    source: str | None = None,
    duration_seconds: float | None = None,
) -> None:
    """Write down that the migration is applied, in a table that is prepared.

    Both belong into the migration's own transaction.
    """
    await connection.execute(_RECORD, migration_id, APP_NAME, source, _describe_us(), duration_seconds)


async def write_sources(connection: asyncpg.Connection, sources: Mapping[str, str]) -> None:
    """Write down these sources, by ID, as those that were applied; the rows exist."""
    await prepare_table(connection)
    await connection.executemany(_WRITE_SOURCE, [(APP_NAME, *each) for each in sources.items()])


async def forget(connection: asyncpg.Connection, migration_id: str) -> None:
    """Strike the migration out, and with the last one our table, or our columns: nothing of us remains."""
    await connection.execute(
        "DELETE FROM migration WHERE app_name = $1 AND name = $2", APP_NAME, migration_id
    )
    if await connection.fetchval(_IS_OURS, _MARK):
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM migration)"):
            await connection.execute("DROP TABLE migration")
    elif await connection.fetchval(_IS_LEFTOVER, APP_NAME, _OUR_COLUMNS):
        await connection.execute(_DROP_COLUMNS)


async def prepare_table(connection: asyncpg.Connection) -> None:
    """Make the table where there is none, and add our columns to one that Piccolo or an older runner made."""
    # Asked first, for ALTER TABLE would lock out who reads the history, and wants the table's owner.
    shape = await connection.fetchrow(_SHAPE, _OUR_COLUMNS)
    if shape is None or not shape["exists"]:
        await connection.execute(_CREATE)
    elif not shape["is_complete"]:
        await connection.execute(_ADD_COLUMNS)


def _describe_us() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        user = str(os.getuid())
    # What stands in LOGNAME need not be text.
    return f"{user}@{socket.gethostname()}".encode(errors="replace").decode()
