"""Whom a data migration meets on its table: who waits for its batch, and who keeps it from its rows."""

from typing import Final

import asyncpg

from sherpa.db.migrations.events import Blocker
from sherpa.db.migrations.execution.blocking import SESSION_COLUMNS, read_session

# From pg_locks, which shows everybody all locks; of pg_stat_activity a user sees little but his own sessions.
_WAITING: Final = """
SELECT count(*) FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) AS waiting
WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))
"""
_AT_WORK: Final = """
FROM (SELECT DISTINCT pid FROM pg_locks
      WHERE relation = to_regclass($1) AND granted AND pid IS DISTINCT FROM pg_backend_pid()) AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
-- A prepared transaction has no pid, and is in nobody's hands.
ORDER BY l.pid IS NOT NULL, a.xact_start LIMIT 1
"""
_OLDEST: Final = f"SELECT l.pid, {SESSION_COLUMNS} {_AT_WORK}"


async def count_waiting(connection: asyncpg.Connection) -> int:
    """Return how many sessions wait for a lock that this one's open transaction holds."""
    waiting: int = await connection.fetchval(_WAITING)
    return waiting


async def find_oldest(connection: asyncpg.Connection, table: str) -> Blocker | None:
    """Return who has been at work on the table for longest: the likely holder of a row's lock."""
    row = await connection.fetchrow(_OLDEST, table)
    return read_session(row) if row else None
