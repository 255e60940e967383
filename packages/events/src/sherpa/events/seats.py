"""How several workers share the work: who should sit where, computed by each from the same facts.

A seat is one partition of one role: the relay, or a handler. A worker tells which roles it can play by
shared advisory locks on a session of its own, so that it is counted exactly as long as it lives; every
worker reads these locks twice a second and comes to the same answer. This only decides who *should* hold a
seat: that nobody else does is the business of the seat's own lock.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.events import locks

# As the relay's session: a paused worker must be out of the count while its seats become free.
IDLE_LIMIT_SECONDS = 3
ANSWER_SECONDS = 3.0

# The first half of a lock's two numbers; the second is the role's. "sher" as a number.
_ROLES_CLASS = 0x73686572

_OFFER = "SELECT pg_advisory_lock_shared($1, unnest($2::integer[]))"
_WITHDRAW = "SELECT pg_advisory_unlock_shared($1, unnest($2::integer[]))"
_LOOK = """
SELECT objid::bigint AS role, array_agg(pid) AS workers
FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1 AND objsubid = 2 AND mode = 'ShareLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY objid
"""

RELAY = "relay"

type Place = tuple[int, int]
"""A role's number and a partition."""


@dataclass(frozen=True, slots=True, order=True)
class Seat:
    """One partition of one role: `relay`, or `handler/` and the handler's name."""

    role: str
    partition: int


class Roster:
    """One worker among the others: it tells its roles and learns which seats it should hold."""

    def __init__(self, settings: DatabaseSettings, roles: Collection[str], *, partitions: int) -> None:
        self._options = connect_options(
            settings, "sherpa-worker", server_settings={"idle_session_timeout": f"{IDLE_LIMIT_SECONDS}s"}
        )
        self._partitions = partitions
        self._roles = self._numbered(roles)
        self._session: asyncpg.Connection | None = None
        self._announced: frozenset[int] = frozenset()
        self.workers = 0

    async def look(self) -> frozenset[Seat]:
        """Return the seats that are this worker's now. Asked twice a second, it keeps the session alive, too.

        Raises what asyncpg raises, OSError or TimeoutError where PostgreSQL is away: then nothing is known,
        and whoever sits should stay. The next call announces us anew.
        """
        try:
            session = self._session or await self._open()
            if self._announced != self._roles.keys():
                await self._announce(session)
            rows = await session.fetch(_LOOK, _ROLES_CLASS, timeout=ANSWER_SECONDS)
            candidates = {row["role"]: frozenset[int](row["workers"]) for row in rows}
            workers = frozenset[int]().union(*candidates.values())
            await self._end_silent(session, workers)
        except BaseException:
            self.leave()
            raise
        self.workers = len(workers)
        assigned = share_out(candidates, self._partitions)
        mine = session.get_server_pid()
        return frozenset(
            Seat(self._roles[role], partition)
            for (role, partition), worker in assigned.items()
            if worker == mine and role in self._roles
        )

    def play(self, roles: Collection[str]) -> None:
        """Offer these roles from the next look on, in place of those before."""
        self._roles = self._numbered(roles)

    def _numbered(self, roles: Collection[str]) -> Mapping[int, str]:
        # Who divides otherwise would share out otherwise, and a seat could be nobody's: they don't share.
        return {role_number(f"{role}/{self._partitions}"): role for role in roles}

    async def _end_silent(self, session: asyncpg.Connection, workers: Collection[int]) -> None:
        """Take workers out of the count, from the next look on, that were paused in mid-statement."""
        if len(workers) > 1:
            async with asyncio.timeout(ANSWER_SECONDS):
                await locks.end_silent(session, workers, seconds=IDLE_LIMIT_SECONDS)

    def leave(self) -> None:
        """Let the others count without us, at once and whatever state the session is in."""
        if self._session is not None:
            self._session.terminate()
            self._session = None
            self._announced = frozenset()

    async def _open(self) -> asyncpg.Connection:
        session: asyncpg.Connection = await asyncpg.connect(**self._options)
        self._session = session
        return session

    async def _announce(self, session: asyncpg.Connection) -> None:
        # On the session that is there: the seats are shared out by its number, and would all move with it.
        offered = frozenset(self._roles)
        for statement, roles in (_OFFER, offered - self._announced), (_WITHDRAW, self._announced - offered):
            numbers = [_signed(number) for number in roles]
            await session.fetch(statement, _ROLES_CLASS, numbers, timeout=ANSWER_SECONDS)
        self._announced = offered


def share_out(candidates: Mapping[int, Collection[int]], partitions: int) -> Mapping[Place, int]:
    """Give each partition of each role to one of the workers who can play it; none gets more than its share.

    By rendezvous hashing: who comes or goes moves few seats. A role that few can play is given out first,
    and rather to somebody with enough than to nobody.
    """
    workers = frozenset[int]().union(*candidates.values())
    share = ceil(len(candidates) * partitions / max(1, len(workers)))
    taken: Counter[int] = Counter()
    assigned: dict[Place, int] = {}
    for place in _places(candidates, partitions):
        able = candidates[place[0]]
        free = [worker for worker in able if taken[worker] < share]
        least = min(taken[worker] for worker in able)
        chosen = max(
            free or [worker for worker in able if taken[worker] == least],
            key=lambda worker: _affinity(place, worker),
        )
        taken[chosen] += 1
        assigned[place] = chosen
    return assigned


def role_number(role: str) -> int:
    """Return a role's number in the locks, 32 bits. Two roles of the same number merely move together."""
    return int.from_bytes(blake2b(role.encode(), digest_size=4).digest())


def _places(candidates: Mapping[int, Collection[int]], partitions: int) -> Iterator[Place]:
    for role in sorted(candidates, key=lambda role: (len(candidates[role]), role)):
        yield from ((role, partition) for partition in range(partitions))


def _affinity(place: Place, worker: int) -> bytes:
    return blake2b(f"{place}/{worker}".encode(), digest_size=8).digest()


def _signed(number: int) -> int:
    """PostgreSQL takes the second number as a signed integer, and shows it unsigned."""
    return number - (1 << 32) if number >= 1 << 31 else number
