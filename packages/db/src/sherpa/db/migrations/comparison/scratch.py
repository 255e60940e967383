"""A schema for an experiment: what is made in it can be looked at, and is always rolled back.

All of it is one transaction, so nothing remains after a kill -9 either, and nobody else ever sees it.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from sherpa.db.catalogue import Snapshot, snapshot
from sherpa.db.migrations.errors import ScratchError

# Everything in the scratch schema is new, so there is nothing to wait for: who waits has left it.
_LOCK_TIMEOUT = "1s"

_HOME = "SELECT quote_ident(current_schema()) AS home, current_database() AS database, current_user AS role"
# The history, and how far data migrations came: what a runner keeps for itself, nobody declares.
_BOOKS = ("migration", "migration_progress")
# As settings have it: `"$user", public`. A path that was empty stays empty.
_ENTER = """
SELECT set_config('search_path', concat_ws(', ', $1::text, nullif(current_setting('search_path'), '')), true),
       set_config('lock_timeout', $2, true)
"""
_TRANSACTION = "SELECT pg_current_xact_id()::text"
# Reading takes ACCESS SHARE, which stands in nobody's way; everything else may.
_LOCKED = """
SELECT relation FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode <> 'AccessShareLock'
"""
_NAMES = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1::oid[]) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Scratch:
    """The scratch schema while it lives: `schema` is its name, `home` the current schema that it stands for.

    Both are quoted where SQL needs it.
    """

    connection: asyncpg.Connection
    schema: str
    home: str

    async def snapshot(self) -> Snapshot:
        """Return what was made here until now, named as if it had been made at home."""
        made = await snapshot(self.connection)
        return made.within(self.schema).renamed(self.schema, self.home)

    async def actual(self) -> Snapshot:
        """Return what stands at home, but for the runner's own tables."""
        found = (await snapshot(self.connection)).within(self.home)
        return found.without({f"{self.home}.{table}" for table in _BOOKS})


@asynccontextmanager
async def scratch_schema(connection: asyncpg.Connection) -> AsyncIterator[Scratch]:
    """Put an empty schema first on the search path for the length of the block, and roll the block back.

    The block is a transaction, or a part of the open one. What the scratch schema lacks is still found on the
    path, for the types and functions of extensions; who locks a table out there is told so at the end.
    Raises `ScratchError` for that, for a right that is missing, and for a COMMIT in the block.
    """
    transaction = connection.transaction()
    await transaction.start()
    # Random, so that no text of the catalogue can hold it by chance; lower case, so that it needs no quotes.
    schema = f"sherpa_scratch_{secrets.token_hex(8)}"
    try:
        locked_before = await _locked(connection)
        scratch = await _enter(connection, schema)
        number = await connection.fetchval(_TRANSACTION)
        yield scratch
        has_ended = number != await connection.fetchval(_TRANSACTION)
        locked = await _locked(connection) - locked_before
    finally:
        if not connection.is_closed():
            await transaction.rollback()
            await _remove(connection, schema)
    if has_ended:
        raise ScratchError(
            "What ran in the scratch schema has a COMMIT or ROLLBACK of its own: what followed ran outside, "
            "and may have changed the database. Take it out."
        )
    await _refuse_reaching_beyond(connection, locked)


async def _enter(connection: asyncpg.Connection, schema: str) -> Scratch:
    home = await connection.fetchrow(_HOME)
    if home is None or home["home"] is None:
        raise ScratchError(
            "The user of DATABASE_URL has no current schema: give it a search_path with a schema that exists."
        )
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ScratchError(
            f"{error}. To compare, the schema is built anew in a schema that is rolled back: "
            f'GRANT CREATE ON DATABASE "{home["database"]}" TO "{home["role"]}", or go as its owner.'
        ) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise ScratchError(f"{error}. Use the primary server, and a user who may write.") from error
    await connection.fetchrow(_ENTER, schema, _LOCK_TIMEOUT)
    return Scratch(connection, schema, home["home"])


async def _locked(connection: asyncpg.Connection) -> set[int]:
    return {row["relation"] for row in await connection.fetch(_LOCKED)}


async def _remove(connection: asyncpg.Connection, schema: str) -> None:
    # There only after a COMMIT in the block.
    if await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")


async def _refuse_reaching_beyond(connection: asyncpg.Connection, locked: set[int]) -> None:
    # Asked after the rollback: what was made in the scratch schema is gone, what was dropped outside is back.
    if names := [row["name"] for row in await connection.fetch(_NAMES, locked)]:
        raise ScratchError(
            f"What ran in the scratch schema reached beyond it, and locked {', '.join(names)}: "
            f"it names a table before that is made. It was rolled back."
        )
