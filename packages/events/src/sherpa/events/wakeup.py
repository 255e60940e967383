"""The relay's wake-up: a NOTIFY after COMMIT, so that an event is relayed in milliseconds.

It promises nothing: it is sent beside the caller's work, on a pooled connection of its own, and whatever
becomes of it is only logged. The relay's polling finds what no wake-up told of.
"""

import asyncio
from contextlib import suppress
from typing import Final

from sherpa.db.postgres import PooledEngine
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

CHANNEL: Final = "sherpa_outbox"
"""What the relay listens to; notifications have no payload but for a replay's."""

REPLAYED: Final = "replayed"
"""Tells the relay that older events than it has published wait again."""

# NOTIFY takes a lock on all of the server's notifications until its transaction has ended: once per commit it
# would put every writer in one queue.
INTERVAL_SECONDS: Final = 0.01
# The pool's connections are for requests first: when none becomes free by then, polling has to do.
PATIENCE_SECONDS: Final = 1.0


class Wakeup:
    """One Database's wake-up: at once, then at most one every 10 ms, and always one after the last ring."""

    def __init__(self, engine: PooledEngine) -> None:
        self._connections = engine.connections
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
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._connections.connection() as connection:
                # A SELECT, and not NOTIFY: after that one the pool would reset the session.
                await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
        except Exception as error:
            if not self._is_failing:
                log.warning("the relay is not woken, and finds events by polling", exc_info=error)
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("the relay is woken again")
            self._is_failing = False
