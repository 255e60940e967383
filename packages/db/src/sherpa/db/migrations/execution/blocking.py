"""Who keeps a migration waiting: a second session asks, opened only when a step takes long.

It is the one thing that may be missing without harm: where it can't connect, the migration goes on unwatched.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.events import Blocked, Blocker, Report
from sherpa.db.migrations.failure import DRIVER_ERRORS
from sherpa.db.migrations.lock import HOST

# Long enough that most migrations never cost a second session, short enough to name who is in the way before
# the first lock_timeout is over.
PATIENCE_SECONDS = 1.0
# A server that hangs must not keep us.
_ANSWER_SECONDS = 5.0

# A prepared transaction has no session, and blocks as pid 0: where there are several, it is one of them.
_PREPARED = """
  (SELECT string_agg(quote_literal(gid), ' or ' ORDER BY prepared)
   FROM pg_prepared_xacts WHERE database = current_database())"""
# What pg_stat_activity hides of other roles' sessions is NULL.
SESSION_COLUMNS = f"""
  {HOST} AS host,
  coalesce(nullif(a.application_name, ''), a.backend_type, 'unnamed') AS application,
  coalesce(a.usename::text, 'none') AS user,
  coalesce(a.state, 'state unknown') AS state,
  coalesce(a.xact_start, a.state_change) AT TIME ZONE 'UTC' AS since,
  {_PREPARED} AS prepared
"""
_BLOCKERS = """
FROM (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) AS b
LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid
LEFT JOIN LATERAL (
    SELECT CASE locktype
        WHEN 'relation' THEN format('%s on %s', mode, relation::regclass)
        WHEN 'tuple' THEN format('%s on a row of %s', mode, relation::regclass)
        WHEN 'transactionid' THEN 'the end of a transaction that changed the same rows'
        WHEN 'virtualxid' THEN 'the end of a transaction that began earlier'
        ELSE format('%s (%s)', mode, locktype)
    END AS lock
    FROM pg_locks WHERE pid = $1 AND NOT granted LIMIT 1
) AS wanted ON true
ORDER BY b.pid
"""
_BLOCKED = f"SELECT coalesce(wanted.lock, 'a lock') AS lock, b.pid, {SESSION_COLUMNS} {_BLOCKERS}"


class Watcher:
    """Tells what the session `pid` waits for; `blocked` is what it saw last. Use it as a context manager."""

    def __init__(self, settings: DatabaseSettings, pid: int, report: Report) -> None:
        self._settings = settings
        self._pid = pid
        self._report = report
        self._connection: asyncpg.Connection | None = None
        self._is_blind = False
        self.blocked: Blocked | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            with suppress(*DRIVER_ERRORS, OSError):
                await self._connection.close(timeout=_ANSWER_SECONDS)

    @asynccontextmanager
    async def watching(self, migration_id: str, every_seconds: float) -> AsyncIterator[None]:
        """Look each `every_seconds` while the block runs, at first after as many; tell each blocker once."""
        self.blocked = None
        done = asyncio.Event()
        task = asyncio.create_task(self._watch(migration_id, every_seconds, done))
        try:
            yield
        finally:
            done.set()
            # Not cancelled: asyncpg would open one more connection to cancel the question under way.
            await task

    async def _watch(self, migration_id: str, every_seconds: float, done: asyncio.Event) -> None:
        told = None
        while not self._is_blind and not await _happens(done, every_seconds):
            blocked = await self._look(migration_id)
            if blocked is None:
                continue
            self.blocked = blocked
            key = (blocked.lock, [blocker.pid for blocker in blocked.blockers])
            if key != told:
                told = key
                self._report(blocked)

    async def _look(self, migration_id: str) -> Blocked | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                connection = self._connection or await self._connect()
                rows = await connection.fetch(_BLOCKED, self._pid)
        except (*DRIVER_ERRORS, OSError):
            self._is_blind = True
            return None
        if not rows:
            return None
        return Blocked(migration_id, rows[0]["lock"], tuple(read_session(row) for row in rows))

    async def _connect(self) -> asyncpg.Connection:
        options = connect_options(self._settings, "sherpa-migrate-watch")
        self._connection = await asyncpg.connect(**options)
        return self._connection


def read_session(row: asyncpg.Record) -> Blocker:
    """Return the session, or prepared transaction, that a row with `pid` and SESSION_COLUMNS describes."""
    state = (
        row["state"] if row["pid"] else f"the prepared transaction {row['prepared']} (see ROLLBACK PREPARED)"
    )
    return Blocker(row["pid"] or 0, row["host"], row["application"], row["user"], state, row["since"])


async def _happens(event: asyncio.Event, within_seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            await event.wait()
    return event.is_set()
