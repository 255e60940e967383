"""Connections for tests: a new one, one whose transaction is rolled back, and one kept from test to test."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.maintenance import LOST

# What outlives a transaction in a session, but for what asyncpg's own reset undoes.
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
    """Open a connection in a transaction that is rolled back at the end; committed, if the database is kept.

    A savepoint tells whether it is the same transaction: if the test has ended it, the database is wiped.
    """
    async with connected(settings) as connection:
        await connection.transaction().start()
        await connection.execute("SAVEPOINT beginning")
        yield connection
        try:
            await connection.execute("COMMIT" if lease.is_kept else "ROLLBACK TO SAVEPOINT beginning")
        except LOST:
            lease.is_open = True


class KeptConnection:
    """A connection that goes on from test to test, for tests that run in the loop of the whole session."""

    def __init__(self) -> None:
        self._connection: asyncpg.Connection | None = None
        self._database = ""

    async def lend(self, settings: DatabaseSettings, lease: Lease) -> asyncpg.Connection:
        """Return the connection: a new one if the worker's database is another one by now."""
        if self._connection is None or self._connection.is_closed() or self._database != lease.database:
            self.close()
            self._connection, self._database = await connect(settings), lease.database
        lease.spared |= self.pids()
        return self._connection

    def pids(self) -> set[int]:
        """Return its session's pid, which no test is to be blamed for; nothing when there is none."""
        if self._connection is None or self._connection.is_closed():
            return set()
        return {self._connection.get_server_pid()}

    async def settle(self) -> None:
        """Undo what a test has done to the session; give it up where that fails."""
        if self._connection and not self._connection.is_closed():
            try:
                if self._connection.is_in_transaction():
                    await self._connection.reset()
                await self._connection.execute(self._connection.get_reset_query() + FORGET)
            except LOST:
                self.close()

    def close(self) -> None:
        """Drop the connection, if there is one; its database may be gone already."""
        if self._connection:
            self._connection.terminate()
            self._connection = None
