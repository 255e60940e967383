"""Makes and drops a worker's databases, in one session that is opened again when it is lost."""

import asyncio
import contextlib
import itertools

import asyncpg

from sherpa.devstack.harness.background import Background
from sherpa.devstack.harness.cluster import ROLE, Cluster
from sherpa.devstack.harness.template import clone

EMPTY = "template1"
# What asyncpg raises for a session that was ended from outside depends on how far it has noticed.
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Maintenance:
    """The worker's hand on the cluster. Its coroutines run in the background's loop."""

    def __init__(self, cluster: Cluster, worker: str, background: Background) -> None:
        self.cluster = cluster
        self._worker = worker
        self._background = background
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None

    async def make(self, template: str) -> str:
        """Make a database like the template and return its name."""
        name = f"test_{self._worker}_{next(self._numbers)}"
        async with self._lock:
            await clone(await self._session(), template, name, in_memory=self.cluster.in_memory)
        return name

    async def drop_later(self, name: str) -> None:
        """Drop a database, its sessions ended, while the next test runs."""
        self._background.put_off(self.drop(name))

    async def drop(self, name: str) -> None:
        """Drop a database, its sessions ended; what can't be dropped goes with the cluster in the end."""
        async with self._lock:
            with contextlib.suppress(*LOST):
                await (await self._session()).execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def describe(self, name: str, text: str) -> None:
        """Write a comment on a database, for whoever lists them."""
        async with self._lock:
            connection = await self._session()
            quoted = await connection.fetchval("SELECT quote_literal($1::text)", text)
            await connection.execute(f"COMMENT ON DATABASE {name} IS {quoted}")

    async def restore_role(self, password: str) -> None:
        """Undo what a test has done to the tests' role; `password` is as PostgreSQL stores it."""
        async with self._lock:
            connection = await self._session()
            await connection.execute(f"ALTER ROLE {ROLE} RESET ALL")
            await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}' CONNECTION LIMIT -1")

    async def close(self) -> None:
        """Close the session."""
        async with self._lock:
            if self._connection:
                await close(self._connection)

    async def _session(self) -> asyncpg.Connection:
        if self._connection:
            try:
                await self._connection.execute("SELECT 1")
            except LOST:
                self._connection.terminate()
            else:
                return self._connection
        self._connection = await self.cluster.connect("postgres")
        return self._connection


async def close(connection: asyncpg.Connection) -> None:
    """Close a connection that may be lost already."""
    try:
        await connection.close(timeout=5)
    except LOST:
        connection.terminate()
