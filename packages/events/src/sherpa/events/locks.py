"""Locks by name, held by a session of PostgreSQL: they end with it, so nobody has to clean up after a kill.

A name stands for a 64-bit key. All of it works on the session that is given, which must be the server's own
and no pooler's, and on no other: whoever loses the session has lost its locks.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

type Connection = asyncpg.Connection | PoolConnectionProxy

_HELD: Final = """
SELECT key, pid
FROM unnest($1::bigint[]) AS wanted(key)
JOIN pg_locks AS lock ON (lock.classid::bigint << 32) | lock.objid::bigint = wanted.key
WHERE lock.locktype = 'advisory' AND lock.objsubid = 1 AND lock.granted
  AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY pid
"""

# None of the server's timeouts counts while a client has a statement parsed and doesn't say to run it. Where
# the server may not show or end a session, for it is another user's, nothing is done.
_END_SILENT: Final = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE pid = ANY($1::integer[]) AND pid <> pg_backend_pid() AND usename = current_user
  AND state = 'active' AND wait_event = 'ClientRead'
  AND state_change < clock_timestamp() - make_interval(secs => $2)
"""


@lru_cache(maxsize=4096)
def key(name: str) -> int:
    """Return the advisory lock's key for a name: signed, 64 bits, the same on every machine and version."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


async def take(connection: Connection, name: str, *, shared: bool = False) -> bool:
    """Take the lock if it is free, or shared with others who share it; tell whether it is ours.

    The session counts how often it took it: it is free when it was given back as often.
    """
    function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
    taken: bool = await connection.fetchval(f"SELECT {function}($1)", key(name))
    return taken


async def give_back(connection: Connection, name: str, *, shared: bool = False) -> bool:
    """Give the lock back once; tell whether the session held it."""
    function = "pg_advisory_unlock_shared" if shared else "pg_advisory_unlock"
    held: bool = await connection.fetchval(f"SELECT {function}($1)", key(name))
    return held


async def holders(connection: Connection, names: Iterable[str]) -> dict[str, Sequence[int]]:
    """Return the names that any session of this database holds, with the process ids of the servers."""
    by_key = {key(name): name for name in names}
    found: dict[str, list[int]] = {}
    for row in await connection.fetch(_HELD, list(by_key)):
        found.setdefault(by_key[row["key"]], []).append(row["pid"])
    return dict(found)


async def end_silent(connection: Connection, pids: Collection[int], *, seconds: float) -> int:
    """End those sessions whose process has stopped in the middle of a statement; return how many.

    Such a process was paused, or its loop hangs: for so long it has owed the server the next message. Its
    session's timeouts end it anywhere else.
    """
    ended: int = await connection.fetchval(_END_SILENT, list(pids), seconds)
    return ended
