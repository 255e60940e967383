"""Waits for entries: one connection for each partition, however many groups wait for it."""

import asyncio
from contextlib import suppress

from sherpa.events.brokers import names
from sherpa.events.brokers.broker import Position
from sherpa.events.brokers.link import Link
from sherpa.events.brokers.translation import ERRORS

# The server's blocking is cut into slices, so that a watch which nobody needs any more ends soon.
_SLICE_SECONDS = 1.0


class Watch:
    """Tells those who wait when a partition has an entry above a position that all of them have reached."""

    def __init__(self, link: Link, partition: int, *, timeout_seconds: float) -> None:
        self._link = link
        self._stream = names.stream(partition)
        self._block_milliseconds = max(1, int(min(_SLICE_SECONDS, timeout_seconds / 2) * 1000))
        self._after: Position | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._let_go: set[tuple[str, Position]] = set()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, group: str, after: Position, *, seconds: float) -> None:
        """Return when there may be an entry above `after` for the group, or after so many seconds."""
        if self._task is None:
            self._after = after
            self._task = asyncio.create_task(self._watch(), name=f"watch {self._stream}")
        # Whoever waits above this position has been given an entry which this one has yet to read. If that
        # was not so the first time, the stream has lost its end in a failover, and once is enough.
        elif self._after is not None and after < self._after and (group, after) not in self._let_go:
            self._let_go.add((group, after))
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await future
        finally:
            self._waiting.discard(future)

    async def close(self) -> None:
        """Stop watching."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        failure: Exception | None = None
        try:
            while self._waiting and not await self._step():
                pass
        except ERRORS as error:
            failure = error
        finally:
            self._task = None
            self._let_go.clear()
            self._wake(failure)

    async def _step(self) -> bool:
        """Ask the server once; tell whether it has entries."""
        after = "{}-{}".format(*(self._after or (0, 0)))
        block = self._block_milliseconds
        return bool(
            await self._link.command(
                self._stream, "XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", self._stream, after
            )
        )

    def _wake(self, failure: Exception | None) -> None:
        for future in self._waiting:
            if future.done():
                continue
            if failure:
                future.set_exception(failure)
            else:
                future.set_result(None)
