"""The relay's own session of PostgreSQL: it holds the lock, so whatever it still does, it does as the leader.

A process that is paused loses its session, and its locks with it, within `SILENCE_SECONDS`; one that lives
keeps it by doing something every `BEAT_SECONDS`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.db.connecting import connect_error
from sherpa.db.dsn import connect_options, describe_server
from sherpa.events.wakeup import CHANNEL, REPLAYED

BEAT_SECONDS: Final = 1.0
# A standby must be publishing 5 s after a leader was paused, and polls for the lock every 0.25 s.
SILENCE_SECONDS: Final = 3
# Longer than any statement of ours takes, unless somebody holds a lock on the table or the network is cut.
STATEMENT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0

_SETTINGS: Final = {
    "idle_session_timeout": f"{SILENCE_SECONDS}s",
    # A paused process that was being sent rows is not idle: there it is TCP that gives up.
    "tcp_user_timeout": f"{SILENCE_SECONDS}s",
    # The index on what is not published is right at every size: a plan made for an empty table would sort a
    # million rows, and a bitmap scan reads all dead entries again, which an index scan marks as dead once.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A mark that a crash of the server takes back is an event published twice, which handlers expect; waiting
    # for the disk with each batch costs more than that.
    "synchronous_commit": "off",
}


class Session:
    """A connection for one relay. `on_wake` is called when events may be there, and when the session ends."""

    def __init__(self, connection: asyncpg.Connection, on_wake: Callable[[], None]) -> None:
        self.connection = connection
        self._on_wake = on_wake
        connection.add_termination_listener(lambda _: on_wake())

    async def listen(self, on_replay: Callable[[], None]) -> None:
        """Let notifications wake the relay from now on; `on_replay` is called first for that of a replay."""

        def hear(_connection: object, _pid: int, _channel: str, what: object) -> None:
            if what == REPLAYED:
                on_replay()
            self._on_wake()

        await self.connection.add_listener(CHANNEL, hear)

    async def beat(self) -> None:
        """Show the server that we live. Raises the driver's error when the session has ended."""
        await self.connection.fetchval("SELECT 1")

    async def beating[T](self, work: Awaitable[T]) -> T:
        """Return what `work` returns, and beat while it takes its time; it must not use the session."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=BEAT_SECONDS))[0]:
                await self.beat()
        except BaseException:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        return task.result()

    async def close(self) -> None:
        """End the session; its locks are free when this returns, if the server answers."""
        try:
            await self.connection.close(timeout=CLOSE_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self.connection.terminate()


async def open_session(
    settings: DatabaseSettings, application_name: str, on_wake: Callable[[], None]
) -> Session:
    """Connect. Raises DatabaseUnavailableError, or DatabaseRefusedError where trying again won't help."""
    options = connect_options(settings, application_name, server_settings=_SETTINGS)
    try:
        connection = await asyncpg.connect(**options, command_timeout=STATEMENT_SECONDS)
    except Exception as error:
        explanation = connect_error(error, describe_server(settings))
        if explanation is None:
            raise
        raise explanation from error
    return Session(connection, on_wake)
