"""How the outbox and the failed events stand, in numbers: a few cheap queries for metrics and status."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

# Counting a million entries of the partial index takes a tenth of a second; more is told as this many.
MOST_COUNTED = 1_000_000

_PENDING = """
SELECT count(*) FROM (SELECT FROM outbox WHERE processed_at IS NULL LIMIT $1) AS counted
"""
# By the index on (created_at) of what is pending: its first entry is read.
_OLDEST = """
SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
FROM outbox WHERE processed_at IS NULL ORDER BY created_at LIMIT 1
"""
_VACUUM = """
SELECT n_dead_tup AS dead_tuples, greatest(last_autovacuum, last_vacuum) AS vacuumed_at
FROM pg_stat_user_tables WHERE relid = 'outbox'::regclass
"""
_FAILED = "SELECT handler_name, status, count(*) AS number FROM failed_events GROUP BY handler_name, status"

type Connection = asyncpg.Connection | PoolConnectionProxy


@dataclass(frozen=True, slots=True)
class Figures:
    """`pending` is at most MOST_COUNTED. `failed` counts by handler and status, dead letters included."""

    pending: int
    oldest_pending_seconds: float
    dead_tuples: int
    vacuumed_at: datetime | None
    failed: Mapping[tuple[str, str], int]


async def read_figures(connection: Connection) -> Figures:
    """Read all of them; nothing pending has the age 0."""
    oldest: float | None = await connection.fetchval(_OLDEST)
    vacuum = await connection.fetchrow(_VACUUM)
    failed = await connection.fetch(_FAILED)
    return Figures(
        pending=await connection.fetchval(_PENDING, MOST_COUNTED),
        oldest_pending_seconds=max(0.0, oldest or 0.0),
        dead_tuples=vacuum["dead_tuples"] if vacuum else 0,
        vacuumed_at=vacuum["vacuumed_at"] if vacuum else None,
        failed={(row["handler_name"], row["status"]): row["number"] for row in failed},
    )
