"""Who does the work now: the sessions of PostgreSQL that hold the locks of relays and handlers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from sherpa.config.sections.events import MOST_PARTITIONS
from sherpa.events import locks
from sherpa.events.handling import names as handlers
from sherpa.events.relay import leadership as relays

_SESSIONS: Final = """
SELECT pid, coalesce(host(client_addr), 'local') AS host, coalesce(application_name, '?') AS application
FROM pg_stat_activity WHERE pid = ANY($1::integer[])
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session: the process id of its server (as in pg_stat_activity), its client's host and application."""

    pid: int
    host: str
    application: str

    def __str__(self) -> str:
        return f"{self.application} on {self.host} (backend {self.pid})"


async def leaders(
    connection: asyncpg.Connection, partitions: Iterable[int], layout: int
) -> Mapping[int, Holder]:
    """Return the partitions that have a relay in this division, with its session."""
    numbers = {relays.lock_name(partition, layout): partition for partition in partitions}
    found = await _holders(connection, numbers)
    return {numbers[name]: holder for name, holder in found.items()}


async def owners(
    connection: asyncpg.Connection, seats: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], Holder]:
    """Return which handlers' partitions have an owner, with one of its sessions."""
    names = {handlers.lock_name(*seat): seat for seat in seats}
    found = await _holders(connection, names)
    return {names[name]: holder for name, holder in found.items()}


async def other_layouts(connection: asyncpg.Connection, layout: int) -> Sequence[int]:
    """Return the other numbers of partitions that relays divide by at this moment."""
    names = {relays.layout_name(other): other for other in range(1, MOST_PARTITIONS + 1) if other != layout}
    return sorted(names[name] for name in await locks.holders(connection, names))


async def _holders(connection: asyncpg.Connection, names: Iterable[str]) -> Mapping[str, Holder]:
    held = await locks.holders(connection, names)
    rows = await connection.fetch(_SESSIONS, [pid for pids in held.values() for pid in pids])
    sessions = {row["pid"]: Holder(**dict(row)) for row in rows}
    return {name: sessions[pids[0]] for name, pids in held.items() if pids[0] in sessions}
