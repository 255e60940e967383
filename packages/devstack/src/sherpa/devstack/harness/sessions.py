"""Sessions that a test left open in its database: named, ended, waited for until they can write no more."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

import asyncpg

# As oid[], because asyncpg has to ask the server about int[]: 6 ms for each new connection.
OTHERS = """
    SELECT pid, coalesce(application_name, '') AS application, coalesce(state, '') AS state,
           left(coalesce(query, ''), 80) AS query
    FROM pg_stat_get_activity(NULL)
    WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid <> pg_backend_pid() AND pid::oid <> ALL ($1::oid[])
"""
# A session that its client has closed is gone within milliseconds.
LEAVING_SECONDS = 0.02
ENDING_SECONDS = 5.0
POLL_SECONDS = 0.0005


@dataclass(frozen=True)
class LeakedSession:
    """What the server knew of a session that nobody closed."""

    application: str
    state: str
    query: str

    def __str__(self) -> str:
        """One line for a report."""
        return (
            f"{self.application or 'a session'} ({self.state or 'no state'}): {self.query or 'no statement'}"
        )


class SessionsRemainError(Exception):
    """Sessions of a test don't end, so its database can't be used again."""


async def end_sessions(control: asyncpg.Connection, spared: Collection[int]) -> list[LeakedSession]:
    """End all sessions in a database but our own and the spared pids; return those that had not been closed.

    Raises SessionsRemainError.
    """
    remaining = await _until_gone(control, spared, LEAVING_SECONDS)
    for row in remaining:
        await control.execute("SELECT pg_terminate_backend($1)", row["pid"])
    if remaining and await _until_gone(control, spared, ENDING_SECONDS):
        raise SessionsRemainError
    return [LeakedSession(row["application"], row["state"], row["query"]) for row in remaining]


async def _until_gone(
    control: asyncpg.Connection, spared: Collection[int], seconds: float
) -> list[asyncpg.Record]:
    """Return the sessions that are still there after so many seconds; at once when there are none."""
    deadline = time.monotonic() + seconds
    remaining = await control.fetch(OTHERS, spared)
    while remaining and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        remaining = await control.fetch(OTHERS, spared)
    return remaining
