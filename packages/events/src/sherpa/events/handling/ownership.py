"""Who may give a handler the events of a partition: one process, for as long as its database sessions live.

Every effect is committed in one of these sessions, and a new owner begins only when all of the old one's are
gone. So whoever was paused, or cut off, can't commit anything any more, however late it wakes up.
"""

import asyncio
from collections.abc import Callable

from asyncpg import Connection
from asyncpg.pool import PoolConnectionProxy

from sherpa.db.dsn import require_sessions
from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError, DatabaseError
from sherpa.db.pool import is_alive
from sherpa.db.translation import translated
from sherpa.events import locks
from sherpa.events.handling.names import CHANNEL, lock_name

BEAT_SECONDS = 1.0
# A paused process misses its beats; the server then ends its sessions, and another process takes over.
IDLE_LIMIT_SECONDS = 5
_ANSWER_SECONDS = 5.0


class Lane:
    """One session of the owner's, used by one piece of work at a time: hold `busy` meanwhile."""

    __slots__ = ("busy", "connection")

    def __init__(self, connection: PoolConnectionProxy) -> None:
        self.connection = connection
        self.busy = asyncio.Lock()

    @property
    def is_alive(self) -> bool:
        """Tell whether the session is open, as far as we have heard."""
        return is_alive(self.connection)

    async def beat(self) -> None:
        """Show the server that we live, unless the lane's work does. Raises what goes wrong."""
        if not self.is_alive:
            raise ConnectionLostError
        if self.busy.locked():
            return
        async with self.busy:
            await self.connection.execute("SELECT 1", timeout=_ANSWER_SECONDS)


class Ownership:
    """The right to a handler's events of one partition, and the sessions that are the proof of it.

    Raises DatabaseRefusedError for a pooler, which gives each transaction another session.
    """

    def __init__(
        self, database: Database, *, handler: str, partition: int, lanes: int, longest_call_seconds: float
    ) -> None:
        self._connections = database.engine.connections
        require_sessions(self._connections.settings, "A handler")
        self._lock = lock_name(handler, partition)
        self._wanted = lanes
        self._in_transaction_seconds = int(longest_call_seconds) + IDLE_LIMIT_SECONDS
        self._on_notice: Callable[[str], None] | None = None
        self.lanes: list[Lane] = []

    @property
    def is_held(self) -> bool:
        """Tell whether we own it, as far as we have heard."""
        return bool(self.lanes) and all(lane.is_alive for lane in self.lanes)

    async def take(self, on_notice: Callable[[str], None]) -> bool:
        """Become the owner, unless another process is; operators' notices are then given to `on_notice`.

        Raises what sherpa.db does when there is no session to be had.
        """
        self._on_notice = on_notice
        lanes: list[Lane] = []  # nobody else's yet: a beat would get in the way of these statements
        try:
            if await self._take(lanes):
                self.lanes, lanes = lanes, []
        finally:
            await self._release(lanes)
        return bool(self.lanes)

    async def beat(self) -> None:
        """Keep the idle sessions; where one is gone or doesn't answer, end all: ConnectionLostError."""
        lanes = self.lanes
        try:
            for lane in lanes:
                await lane.beat()
        except Exception as error:
            if lanes is not self.lanes:  # they have been given back meanwhile
                return
            for lane in lanes:  # whoever waits for an answer in one of them learns it now
                self._connections.discard(lane.connection)
            raise ConnectionLostError from error

    async def give_up(self, *, is_spoilt: bool = False) -> None:
        """Give the sessions back, and with them the ownership: at once. `is_spoilt`: end them."""
        lanes, self.lanes = self.lanes, []
        if is_spoilt:
            for lane in lanes:
                self._connections.discard(lane.connection)
        await self._release(lanes)

    async def _take(self, lanes: list[Lane]) -> bool:
        first = await self._open(lanes)
        with translated():
            if not await locks.take(first, self._lock):
                await self._end_silent(first)
                return False
            # Alone for an instant: nobody's session is left. From here on what we share keeps others out.
            await locks.take(first, self._lock, shared=True)
            await locks.give_back(first, self._lock)
            await first.add_listener(CHANNEL, self._hear)
            await self._open_others(lanes)
            # Had the first session ended meanwhile, the others might share the lock with the next owner.
            await first.execute("SELECT 1")
        return True

    async def _end_silent(self, connection: PoolConnectionProxy) -> None:
        owner = (await locks.holders(connection, [self._lock])).get(self._lock, ())
        # A handler may be sending rows by COPY, which looks the same, for as long as a call may take.
        await locks.end_silent(connection, owner, seconds=self._in_transaction_seconds)

    async def _open_others(self, lanes: list[Lane]) -> None:
        """Open the other sessions at the same time: one after the other takes long where the network does."""
        opening = [asyncio.create_task(self._open_sharing(lanes)) for _ in range(self._wanted - 1)]
        try:
            for task in opening:
                await task
        finally:
            for task in opening:
                task.cancel()
            await asyncio.gather(*opening, return_exceptions=True)

    async def _open_sharing(self, lanes: list[Lane]) -> None:
        await locks.take(await self._open(lanes), self._lock, shared=True)

    async def _open(self, lanes: list[Lane]) -> PoolConnectionProxy:
        connection = await self._connections.acquire()
        lanes.append(Lane(connection))
        with translated():
            await connection.execute(
                f"SET idle_session_timeout = '{IDLE_LIMIT_SECONDS}s';"
                f"SET idle_in_transaction_session_timeout = '{self._in_transaction_seconds}s'"
            )
        return connection

    async def _release(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            async with lane.busy:  # a beat may be under way
                try:
                    if lane.is_alive:
                        with translated():
                            await lane.connection.remove_listener(CHANNEL, self._hear)
                except (DatabaseError, TimeoutError):
                    self._connections.discard(lane.connection)
                if lane.is_alive:
                    await self._connections.release(lane.connection)
                else:  # it still has its listener, with which asyncpg takes none back without a warning
                    self._connections.discard(lane.connection)

    def _hear(
        self, _connection: Connection | PoolConnectionProxy, _pid: int, _channel: str, payload: object
    ) -> None:
        if self._on_notice is not None:
            self._on_notice(str(payload))
