"""How far a data migration has come: a row that changes in each batch's transaction, so the two never differ.

It stays until the migration itself is recorded, for only then nobody asks again; its table goes with it.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.events import Direction

# The comment tells our table from somebody else's: only ours is ever read, or dropped.
_MARK: Final = "How far sherpa.db has come with data migrations that are not finished"
_CREATE: Final = f"""
CREATE TABLE migration_progress (
    migration_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    statement TEXT NOT NULL,
    -- The rows that the finished batches went over, and how many there were at the start.
    done BIGINT NOT NULL DEFAULT 0,
    total BIGINT NOT NULL,
    -- Keys as text, for each type has one: the last that is done, and the last that there was at the start.
    last_key TEXT,
    end_key TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (migration_id, direction)
);
COMMENT ON TABLE migration_progress IS '{_MARK}'
"""
_EXISTS: Final = """
SELECT obj_description(to_regclass('migration_progress'), 'pg_class') IS NOT DISTINCT FROM $1
"""
_INSERT: Final = """
INSERT INTO migration_progress (migration_id, direction, statement, total, end_key)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (migration_id, direction) DO UPDATE
SET statement = excluded.statement, total = excluded.total, end_key = excluded.end_key
"""
_READ: Final = """
SELECT done, total, last_key AS last, end_key AS end, statement FROM migration_progress
WHERE migration_id = $1 AND direction = $2 FOR UPDATE
"""
_FIND_OPPOSITE: Final = """
SELECT migration_id, direction, done, total FROM migration_progress
WHERE direction <> $1 AND last_key IS NOT NULL ORDER BY migration_id LIMIT 1
"""
_MOVE: Final = """
UPDATE migration_progress SET done = done + $3, last_key = $4 WHERE migration_id = $1 AND direction = $2
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is done: `done` of about `total` rows, up to and with the key `last` (None: none) of `end`."""

    done: int
    total: int
    last: str | None
    end: str
    statement: str

    @property
    def is_at_start(self) -> bool:
        """Whether no batch was finished yet."""
        return self.last is None

    @property
    def is_at_end(self) -> bool:
        """Whether there is nothing left to do."""
        return self.last == self.end


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Those of one way of one migration."""

    migration_id: str
    direction: Direction

    async def find(self, connection: asyncpg.Connection) -> Checkpoint | None:
        """Return where an earlier run ended; None when there was none."""
        return await self._find(connection) if await has_checkpoints(connection) else None

    async def begin(self, connection: asyncpg.Connection, statement: str, total: int, end: str) -> Checkpoint:
        """Set the start down, instead of one that nothing came of; belongs into a transaction of its own."""
        if not await has_checkpoints(connection):
            await connection.execute(_CREATE)
        await connection.execute(_INSERT, self.migration_id, self.direction, statement, total, end)
        return Checkpoint(0, total, None, end, statement)

    async def read(self, connection: asyncpg.Connection) -> Checkpoint:
        """Return the newest, and keep any other from moving it before this transaction ends."""
        if (found := await self._find(connection)) is None:
            raise HistoryError(f"Somebody deleted {self.migration_id} from migration_progress while it ran.")
        return found

    async def move(self, connection: asyncpg.Connection, last: str, rows: int) -> None:
        """Set down that `rows` more are done, up to `last`; belongs into the transaction that did them."""
        await connection.execute(_MOVE, self.migration_id, self.direction, rows, last)

    async def _find(self, connection: asyncpg.Connection) -> Checkpoint | None:
        row = await connection.fetchrow(_READ, self.migration_id, self.direction)
        return Checkpoint(**row) if row else None


async def clear_checkpoints(connection: asyncpg.Connection, migration_id: str) -> None:
    """Forget how far it came, for now the history says so; belongs into the transaction that records it."""
    if not await has_checkpoints(connection):
        return
    await connection.execute("DELETE FROM migration_progress WHERE migration_id = $1", migration_id)
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM migration_progress)"):
        # Whoever reads it for long, as a dump does, must not keep hours of work from being recorded: then it
        # stays, empty, until the next data migration is recorded.
        with suppress(asyncpg.LockNotAvailableError):
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '1s'; DROP TABLE migration_progress")


async def require_one_way(connection: asyncpg.Connection, direction: Direction) -> None:
    """Raise `HistoryError` when a data migration is half done the other way: it would stay a mixture."""
    if not await has_checkpoints(connection):
        return
    try:
        row = await connection.fetchrow(_FIND_OPPOSITE, direction)
    except asyncpg.UndefinedTableError:  # another runner has just recorded its migration, and dropped it
        return
    if row is not None:
        command = "inv migrate" if row["direction"] == "forwards" else "inv revert"
        raise HistoryError(
            f"{row['migration_id']} is half done {row['direction']} ({row['done']} of about {row['total']} "
            f"rows): finish it first, by `{command}`. Or, when what it did does not matter, delete its row "
            f"from the table migration_progress."
        )


async def has_checkpoints(connection: asyncpg.Connection) -> bool:
    """Return whether any may be there: the table is, and is ours."""
    return bool(await connection.fetchval(_EXISTS, _MARK))
