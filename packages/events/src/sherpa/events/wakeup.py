"""The relay's wake-up: a NOTIFY after COMMIT, so that an event is relayed in milliseconds.

It promises nothing: it is sent beside the caller's work, in a session of its own, and whatever becomes of it
is only logged. The relay's polling finds what no wake-up told of.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg

from sherpa.db.errors import DatabaseError
from sherpa.db.postgres import PooledEngine
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

CHANNEL: Final = "sherpa_outbox"
"""What the relay listens to; notifications have no payload but for a replay's."""

REPLAYED: Final = "replayed"
"""Tells the relay that older events than it has published wait again."""

# NOTIFY takes a lock on all of the server's notifications until its transaction has ended: once per commit it
# would put every writer in one queue. With 10 ms, events that come at 100 a second waited 7.5 ms for it.
INTERVAL_SECONDS: Final = 0.002
# By then the relay has polled.
PATIENCE_SECONDS: Final = 1.0

# TimeoutError is an OSError.
_FAILURES: Final = (
    DatabaseError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


class Wakeup:
    """One Database's wake-up: at once, then at most one every 2 ms, and always one after the last ring.

    The session is opened by the first ring: who never publishes has none.
    """

    def __init__(self, engine: PooledEngine) -> None:
        self._connections = engine.connections
        self._session: asyncpg.Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_wanted = False
        self._closing = asyncio.Event()
        self._is_failing = False

    def ring(self) -> None:
        """Wake the relay soon. Returns at once and never raises for what becomes of it."""
        if self._closing.is_set():
            return
        self._is_wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what is still to be sent, and end."""
        self._closing.set()
        if self._task is not None:
            await self._task
        if self._session is not None:
            with suppress(*_FAILURES):  # asyncpg ends it in any case
                await self._session.close(timeout=PATIENCE_SECONDS)

    async def _run(self) -> None:
        while self._is_wanted:
            self._is_wanted = False
            await self._notify()
            await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL_SECONDS):
                await self._closing.wait()

    async def _notify(self) -> None:
        was_open = self._session is not None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._session is None:
                    # Beside the pool: there it would queue behind the requests that wait for a connection.
                    self._session = await self._connections.connect()
                await self._session.execute(f"NOTIFY {CHANNEL}")
        except _FAILURES as error:
            self._end_session()
            if was_open:  # it may have ended long ago: only a new one can tell
                self._is_wanted = True
            else:
                self._tell(error)
        else:
            self._tell(None)

    def _tell(self, error: Exception | None) -> None:
        """Log a change: that wake-ups fail from now on, or no longer."""
        if error is not None and not self._is_failing:
            log.warning("the relay is not woken, and finds events by polling", exc_info=error)
        elif error is None and self._is_failing:
            log.info("the relay is woken again")
        self._is_failing = error is not None

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None
