"""A worker's database: lent to one test after another, wiped and proved equal to its template in between.

Where the proof fails, as after DDL, a fresh clone takes its place.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

import asyncpg

from sherpa.devstack.harness import fingerprint
from sherpa.devstack.harness.maintenance import LOST, Maintenance, close
from sherpa.devstack.harness.sessions import LeakedSession, SessionsRemainError, end_sessions
from sherpa.devstack.harness.template import Template

# Deleted rows leave their space behind, to be read by each wipe and proof: a clone costs less than VACUUM.
WIPED_ROWS_LIMIT = 20_000
USES_LIMIT = 1_000

# If anything of this happens while a database is wiped and examined, it isn't proved clean.
UNPROVEN = (*LOST, SessionsRemainError)


@dataclass
class Lease:
    """A database in one test's hands.

    `is_open`: more than a transaction that was rolled back may have written in it. `is_kept`: the test
    failed, and its database stays. `spared`: pids of sessions that the harness keeps from test to test.
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
class Clone:
    """A clone of the template, and the harness's own session in it, which opens while the first test runs."""

    name: str
    control: asyncio.Task[asyncpg.Connection]
    uses: int = 0
    wiped_rows: int = 0

    @property
    def is_worn(self) -> bool:
        """Whether a new one would be quicker by now."""
        return self.uses >= USES_LIMIT or self.wiped_rows >= WIPED_ROWS_LIMIT


class Databases:
    """The database of one worker, and its successors. All coroutines run in the background's loop."""

    def __init__(self, maintenance: Maintenance, template: Template) -> None:
        self._maintenance = maintenance
        self._template = template
        self._clone: asyncio.Task[Clone] | None = None

    def at_hand(self) -> Lease | None:
        """Return the database that is ready now, if one is; unlike all else here, from any thread."""
        clone = self._clone
        return Lease(clone.result().name) if clone and clone.done() and not clone.exception() else None

    async def lend(self) -> Lease:
        """Return a database equal to the template: the one before, which was proved so, or a fresh clone."""
        if self._clone is None:
            self._clone = asyncio.create_task(self._make())
        try:
            return Lease((await self._clone).name)
        except UNPROVEN:
            self._clone = None  # the next test may have more luck
            raise

    async def take_back(self, lease: Lease, *, deep: bool) -> Returned:
        """End what the test left running, wipe what it wrote, and replace the database if it isn't as it was.

        A deep proof looks at PostgreSQL's own objects too, which only a superuser can change.
        """
        if self._clone is None:
            raise RuntimeError("no database is lent")
        clone = await self._clone
        if lease.is_kept:
            await self._replace(clone)
            return Returned([], [])
        returned = await self._restore(clone, lease, deep=deep)
        if returned.differences or clone.is_worn:
            await self._replace(clone)
            await self._maintenance.drop_later(clone.name)
        return returned

    async def close(self) -> None:
        """Close the harness's session."""
        if self._clone:
            with contextlib.suppress(*LOST):  # the server may have gone before
                await _leave(await self._clone)

    async def _restore(self, clone: Clone, lease: Lease, *, deep: bool) -> Returned:
        try:
            control = await clone.control
            clone.uses += 1
            leaked = await end_sessions(control, lease.spared) if lease.is_open else []
            clone.wiped_rows += await control.fetchval(self._template.wipe)
            # What one rolled back transaction has done is undone; only sequences go on.
            differences = await self._differences(control, deep=deep) if lease.is_open else []
        except UNPROVEN as error:
            return Returned([], [f"{type(error).__name__}: {error}"])
        return Returned(leaked, differences)

    async def _differences(self, control: asyncpg.Connection, *, deep: bool) -> list[str]:
        reference = self._template.reference
        [found] = await control.fetch(reference.deep_proof if deep else reference.proof)
        names = fingerprint.differences(reference, found, deep=deep)
        if "role" in names:
            await self._maintenance.restore_role(self._template.role_password)
            names.remove("role")
        return names

    async def _replace(self, clone: Clone) -> None:
        """Begin at once with the clone for the next test."""
        self._clone = asyncio.create_task(self._make())
        await _leave(clone)

    async def _make(self) -> Clone:
        name = await self._maintenance.make(self._template.name)
        return Clone(name, asyncio.create_task(self._maintenance.cluster.connect(name)))


async def _leave(clone: Clone) -> None:
    with contextlib.suppress(*LOST):  # it may never have been connected
        await close(await clone.control)
