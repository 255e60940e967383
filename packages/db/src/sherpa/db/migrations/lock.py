"""One runner at a time: an advisory lock that is polled, held by the session and freed with it.

Polled, because a session that waits inside `pg_advisory_lock()` holds a snapshot that another's
CREATE INDEX CONCURRENTLY waits for: a deadlock.
"""

import asyncio
import time

import asyncpg

from sherpa.db.migrations.errors import LockHeldError
from sherpa.db.migrations.events import Report, Waited, Waiting
from sherpa.db.migrations.pauses import pauses

LOCK_WAIT_SECONDS = 300.0
LOCK_KEY = int.from_bytes(b"sherpadb")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

# An advisory lock's 64-bit key stands in pg_locks as two halves.
_LOCK = """
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1
"""
HOST = "CASE WHEN a.backend_start IS NULL THEN 'unknown' ELSE coalesce(host(a.client_addr), 'local') END"
"""Where the session `a` of pg_stat_activity comes from; the server hides it from other roles."""
_HOLDER = f"""
SELECT format('pid %s, host %s, application %s', l.pid, {HOST},
              coalesce(nullif(a.application_name, ''), 'unnamed')) {_LOCK}
"""
IS_OURS = f"EXISTS (SELECT {_LOCK} AND l.pid = pg_backend_pid())"
"""Whether this session holds the lock: a condition with LOCK_KEY as $1."""


async def acquire_lock(connection: asyncpg.Connection, wait_seconds: float, report: Report) -> None:
    """Take the lock for as long as the session lives, waiting at most `wait_seconds` for another runner.

    Raises `LockHeldError`, naming the holder.
    """
    if await _try_lock(connection):
        return
    holder = await _describe_holder(connection)
    report(Waiting(holder))
    started = time.monotonic()
    for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE):
        if (waited := time.monotonic() - started) >= wait_seconds:
            break
        await asyncio.sleep(min(pause, wait_seconds - waited))
        if await _try_lock(connection):
            report(Waited(time.monotonic() - started))
            return
    raise LockHeldError(
        f"Another runner ({await _describe_holder(connection)}) has been migrating this database "
        f"for {wait_seconds:g} s. Wait for it, or end it, then run the command again."
    )


async def require_lock(connection: asyncpg.Connection) -> None:
    """Raise `LockHeldError` unless this session holds the lock."""
    if not await connection.fetchval(f"SELECT {IS_OURS}", LOCK_KEY):
        raise lost_lock()


def lost_lock() -> LockHeldError:
    """Return the error for a session that holds the lock no longer."""
    return LockHeldError(
        "This session no longer holds the lock that keeps other runners out: a migration let go of it, or a "
        "pooler swapped the session for another. Let DATABASE_URL point at the server itself here."
    )


async def _try_lock(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY))


async def _describe_holder(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval(_HOLDER, LOCK_KEY) or "already gone")
