"""Connections for tests: a new one, one whose transaction is rolled back, and one kept from test to test."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.devstack.harness.databases import Lease

# All that outlives a transaction in a session, but for what asyncpg's own reset undoes.
FORGET = "DISCARD TEMP; DISCARD SEQUENCES; SET SESSION AUTHORIZATION DEFAULT"


async def connect(settings: DatabaseSettings) -> asyncpg.Connection:
    """Open a connection as the product does."""
    connection: asyncpg.Connection = await asyncpg.connect(**connect_options(settings, "test"))
    return connection


@contextlib.asynccontextmanager
async def connected(settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection and close it at the end."""
    connection = await connect(settings)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def rolled_back(settings: DatabaseSettings, lease: Lease) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection in a transaction that is rolled back at the end, or committed when the database is kept.

    A savepoint tells whether it is still the same transaction: if the test has ended it, the database is wiped.
    """
    async with connected(settings) as connection:
        await connection.transaction().start()
        await connection.execute("SAVEPOINT beginning")
        yield connection
        try:
            await connection.execute("COMMIT" if lease.is_kept else "ROLLBACK TO SAVEPOINT beginning")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            lease.is_open = True


class KeptConnection:
    """A connection that goes on from test to test, in the loop of the whole session."""

    def __init__(self) -> None:
        self._connection: asyncpg.Connection | None = None
        self._database = ""

    async def lend(self, settings: DatabaseSettings, lease: Lease) -> asyncpg.Connection:
        """Return the connection, a new one if the database is another one now; the harness spares its session."""
        if self._connection is None or self._connection.is_closed() or self._database != lease.database:
            await self.close()
            self._connection, self._database = await connect(settings), lease.database
        lease.spared.add(self._connection.get_server_pid())
        return self._connection

    async def settle(self) -> None:
        """Undo what a test has done to the session; close it where that fails."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.reset()
            await self._connection.execute(FORGET)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection:
            # Its database may have been dropped, and the connection with it.
            self._connection.terminate()
            self._connection = None
