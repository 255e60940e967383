"""A worker's database: lent to one test after another, wiped and proved equal to its template in between.

Where the proof fails, as after DDL, a fresh clone takes its place.
"""

from dataclasses import dataclass, field
from typing import Self

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from sherpa.devstack.harness import fingerprint, sessions
from sherpa.devstack.harness.maintenance import Maintenance
from sherpa.devstack.harness.sessions import LeakedSession, SessionsRemainError
from sherpa.devstack.harness.template import Template

# Deleted rows leave their space behind, and each wipe and proof reads it again; a clone costs less than VACUUM.
WIPED_ROWS_LIMIT = 20_000
USES_LIMIT = 1_000

# Whatever of this happens while a database is wiped and examined, it can't be proved clean.
UNPROVEN = (asyncpg.PostgresError, asyncpg.InterfaceError, SessionsRemainError, OSError)


@dataclass
class Lease:
    """A database in one test's hands.

    `is_open` says that more than a transaction which was rolled back may have written in it; `is_kept`, that the
    test failed and its database stays; `spared` are sessions that the harness itself keeps from test to test.
    """

    database: str
    is_open: bool = False
    is_kept: bool = False
    spared: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Returned:
    """What a test left: sessions that it didn't close, and the facts for which its database was replaced."""

    leaked: list[LeakedSession]
    differences: list[str]


@dataclass
class _Clone:
    """A clone of the template with the harness's own session in it."""

    name: str
    control: asyncpg.Connection
    others: PreparedStatement
    wipe: PreparedStatement
    proof: PreparedStatement
    deep_proof: PreparedStatement
    uses: int = 0
    wiped_rows: int = 0

    @classmethod
    async def enter(cls, name: str, control: asyncpg.Connection, template: Template) -> Self:
        """Prepare in the clone what is asked after each test: planning costs as much as the answers."""
        return cls(
            name,
            control,
            others=await control.prepare(sessions.OTHERS),
            wipe=await control.prepare(template.wipe),
            proof=await control.prepare(template.reference.proof),
            deep_proof=await control.prepare(template.reference.deep_proof),
        )

    @property
    def is_worn(self) -> bool:
        return self.uses >= USES_LIMIT or self.wiped_rows >= WIPED_ROWS_LIMIT


class Databases:
    """The database of one worker, and its successors. All coroutines run in the background's loop."""

    def __init__(self, maintenance: Maintenance, template: Template) -> None:
        self._maintenance = maintenance
        self._template = template
        self._clone: _Clone | None = None

    async def lend(self) -> Lease:
        """Return a database equal to the template: the one before, which was proved so, or a fresh clone."""
        if self._clone is None:
            self._clone = await self._make()
        return Lease(self._clone.name)

    async def take_back(self, lease: Lease, *, deep: bool) -> Returned:
        """End what the test left running, wipe what it wrote, and replace the database if it isn't as it was.

        A deep proof looks at PostgreSQL's own objects too, which only a superuser can change.
        """
        clone = self._current()
        if lease.is_kept:
            await self._leave(clone)
            return Returned([], [])
        try:
            returned = await self._restore(clone, lease, deep=deep)
        except UNPROVEN as error:
            returned = Returned([], [f"{type(error).__name__}: {error}"])
        if returned.differences or clone.is_worn:
            await self._leave(clone)
            await self._maintenance.drop_later(clone.name)
        return returned

    async def close(self) -> None:
        """Close the harness's session."""
        if self._clone:
            await self._leave(self._clone)

    def _current(self) -> _Clone:
        assert self._clone is not None, "a lease is out, so its database is here"
        return self._clone

    async def _restore(self, clone: _Clone, lease: Lease, *, deep: bool) -> Returned:
        clone.uses += 1
        if not lease.is_open:
            # All was one transaction, rolled back; sequences alone don't take part in transactions.
            await clone.wipe.fetchrow()
            return Returned([], [])
        leaked = await sessions.end_sessions(clone.others, lease.spared)
        clone.wiped_rows += (await clone.wipe.fetchrow())[0]
        return Returned(leaked, await self._differences(clone, deep=deep))

    async def _differences(self, clone: _Clone, *, deep: bool) -> list[str]:
        found = await (clone.deep_proof if deep else clone.proof).fetchrow()
        return fingerprint.differences(self._template.reference, found, deep=deep)

    async def _make(self) -> _Clone:
        name = await self._maintenance.make(self._template.name)
        return await _Clone.enter(name, await self._maintenance.cluster.connect(name), self._template)

    async def _leave(self, clone: _Clone) -> None:
        self._clone = None
        try:
            await clone.control.close(timeout=5)
        except UNPROVEN:
            clone.control.terminate()
