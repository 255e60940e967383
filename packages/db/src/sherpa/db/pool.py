"""The connection pool: as many sessions as the settings allow, handed out within the time that they allow."""

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sherpa.config import DatabaseSettings
from sherpa.db.connecting import connect_error
from sherpa.db.dsn import connect_options, describe_server
from sherpa.db.errors import DatabaseClosedError, DatabaseError, DatabaseUnavailableError, PoolTimeoutError
from sherpa.db.session import Session
from sherpa.db.startup import open_when_ready
from sherpa.db.translation import translate
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Give the reason in place of the traceback that asyncpg adds each time that a connection fails."""
    if record.exc_info:
        reason = str(record.exc_info[1]) or record.exc_info[0]
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {reason}", (), None
    return True


# Below `min_connections` the pool tries to connect by itself, up to once a second while the server is away.
logging.getLogger("asyncpg.pool").addFilter(_in_one_line)

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# A session that doesn't say by then that it is rolled back, cancelled or reset is ended. asyncpg would wait
# for the acquire timeout: a cancel request that overtakes its statement is lost, and the statement runs on.
ANSWER_TIMEOUT_SECONDS = 5.0

_CLOSING_POLL_SECONDS = 0.01

# Connections opened together must not all retire together.
_LIFETIME_JITTER = 0.1


@dataclass(frozen=True)
class PoolStats:
    """How the pool stands: connections open, of them idle and in use, and the bounds from the settings."""

    size: int
    idle: int
    in_use: int
    min: int
    max: int


class ConnectionPool:
    """asyncpg's pool with our timeouts, lifetimes and errors. Belongs to the event loop that opened it."""

    def __init__(self, settings: DatabaseSettings, application_name: str) -> None:
        self.settings = settings
        self.options = connect_options(settings, application_name)
        self.server = describe_server(settings)
        self._pool: asyncpg.Pool | None = None
        self._is_opening = False
        self._is_closing = False
        self._waiting = 0

    async def open(self, within_seconds: float) -> None:
        """Open the pool and its first connections, trying again while the server starts.

        Raises DatabaseUnavailableError when the time is over, DatabaseRefusedError at once for a bad login.
        """
        if self._pool is not None or self._is_opening:
            raise DatabaseError("This Database is open already: open it once, then close it.")
        self._is_opening = True
        try:
            self._pool = await open_when_ready(self._create, self.server, within_seconds)
        finally:
            self._is_opening = False

    async def close(self, grace_seconds: float) -> None:
        """Serve who waits for a connection, and wait for who uses one, at most so long; then end them.

        Nobody new is let in meanwhile, and the pool is closed in any case.
        """
        if (pool := self._pool) is None:
            return
        self._is_closing = True
        try:
            async with asyncio.timeout(grace_seconds):
                # asyncpg would close a connection under the feet of whoever gets it after its last user.
                while self._waiting:  # noqa: ASYNC110 - hardly ever; an Event would cost each acquire
                    await asyncio.sleep(_CLOSING_POLL_SECONDS)
                await pool.close()
        except TimeoutError:
            log.warning("database connections in use were ended", grace_seconds=grace_seconds)
        finally:
            self._pool, self._is_closing = None, False
            pool.terminate()

    async def acquire(self) -> PoolConnectionProxy:
        """Take a connection; give it back with `release` or `discard`.

        Raises PoolTimeoutError where none becomes free in the acquire timeout, DatabaseUnavailableError
        where a new one is needed and can't be had, DatabaseClosedError before open() and after close().
        """
        if self._pool is None or self._is_closing:
            raise DatabaseClosedError
        self._waiting += 1
        with self._explained():
            try:
                return await self._pool.acquire(timeout=self.settings.acquire_timeout_seconds)
            except TimeoutError as error:
                raise self._late() from error
            finally:
                self._waiting -= 1

    async def connect(self) -> asyncpg.Connection:
        """Open a connection beside the pool. The caller closes it."""
        if self._pool is None:
            raise DatabaseClosedError
        with self._explained():
            return await asyncpg.connect(**self.options, connection_class=Session)

    async def release(self, connection: PoolConnectionProxy) -> None:
        """Take the connection back, whatever state it is in. Never raises for what became of it.

        It goes on where the caller is cancelled: asyncpg's own does, too, but then reports to nobody, and
        the loop complains of an exception that was never retrieved.
        """
        await asyncio.shield(self._take_back(connection))

    def discard(self, connection: PoolConnectionProxy) -> None:
        """End the session at once, for its state is unknown; its place in the pool is free."""
        with suppress(asyncpg.InterfaceError):  # ended already, and its place taken back
            connection.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """Lend a connection for the block."""
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    def stats(self) -> PoolStats:
        """Return the pool's sizes; all but the bounds are 0 while it is closed."""
        low, high = self.settings.min_connections, self.settings.max_connections
        if self._pool is None:
            return PoolStats(0, 0, 0, low, high)
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return PoolStats(size, idle, size - idle, low, high)

    async def _take_back(self, connection: PoolConnectionProxy) -> None:
        if self._pool is None:
            return
        try:
            if is_alive(connection) and _session(connection).is_expired:
                await connection.close(timeout=ANSWER_TIMEOUT_SECONDS)
            else:
                await self._pool.release(connection, timeout=ANSWER_TIMEOUT_SECONDS)
        except Exception as error:
            # asyncpg has ended the session and freed its place; what the caller did with it is done.
            log.warning("database connection could not be reset", exc_info=error)

    async def _create(self) -> asyncpg.Pool:
        settings = self.settings
        with self._explained():
            return await asyncpg.create_pool(
                **self.options,
                min_size=settings.min_connections,
                max_size=settings.max_connections,
                init_size=max(1, settings.min_connections),  # opening proves that the server can be reached
                max_inactive_connection_lifetime=settings.idle_timeout_seconds,
                max_queries=sys.maxsize,  # asyncpg's limit is a count of statements, ours a time
                connection_class=Session,
                init=self._begin_life,
            )

    async def _begin_life(self, connection: asyncpg.Connection | PoolConnectionProxy) -> None:
        jitter = random.SystemRandom().uniform(0, _LIFETIME_JITTER)
        _session(connection).retire_after(self.settings.max_lifetime_seconds * (1 - jitter))

    def _late(self) -> DatabaseError:
        stats, waited = self.stats(), self.settings.acquire_timeout_seconds
        if stats.in_use < stats.max:
            return DatabaseUnavailableError(f"PostgreSQL at {self.server} accepted no connection in time.")
        return PoolTimeoutError(
            f"No database connection became free within {waited:g} s: all {stats.max} are in use."
            " Look for long transactions in pg_stat_activity, or raise DATABASE_MAX_CONNECTIONS."
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (*_DRIVER_ERRORS, OSError) as error:
            explanation = connect_error(error, self.server) or translate(error)
            if explanation is None:
                raise
            raise explanation from error


def is_alive(connection: PoolConnectionProxy) -> bool:
    """Tell whether the connection is still the caller's and its session open."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it ended while it was lent, and the pool has taken its place back
        return False


def _session(connection: asyncpg.Connection | PoolConnectionProxy) -> Session:
    return cast("Session", connection)  # the pool makes nothing else, and its proxy passes attributes on
