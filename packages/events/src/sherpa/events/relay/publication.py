"""The relay's cycle: while a batch is appended, the one before it is marked and the one after it is read.

What the broker has confirmed is marked, and nothing else; after a failure everything is read again.
"""

import asyncio
from collections.abc import Awaitable, Callable

from sherpa.events.relay.outbox import NOTHING, Batch, Outbox
from sherpa.events.relay.reading import Reader
from sherpa.events.relay.session import Session

type Append = Callable[[Batch], Awaitable[None]]


class Publication:
    """The events on their way, from one session's outbox through `append`."""

    def __init__(self, session: Session, outbox: Outbox, reader: Reader, append: Append) -> None:
        self._session = session
        self._outbox = outbox
        self._reader = reader
        self._append = append
        self._read = NOTHING
        self._confirmed: list[list[str]] = []

    @property
    def waiting(self) -> int:
        """Events that have been read and wait to be appended."""
        return len(self._read.entries)

    async def step(self, limit: int) -> int:
        """Append what was read, mark what the last step has appended, and read on; return what was appended.

        `limit` bounds what is read; 0 reads nothing.
        Raises what `append` raises; then nothing is under way any more but what was confirmed before.
        """
        appending, self._read = self._read, NOTHING
        try:
            if not appending.entries:
                self._read = await self._mark_and_read([], limit)
            elif appending.is_full and limit:
                self._read = await self._append_beside_reading(appending, limit)
            else:  # nothing is left to read, and who waits for this event should not wait for a SELECT
                await self._session.beating(self._append(appending))
        except BaseException:
            self._reader.restart()
            raise
        self._confirmed.append(appending.ids)
        return len(appending.entries)

    def restart(self) -> None:
        """Forget what was read and what was confirmed: all that is not marked is read again."""
        self._read, self._confirmed = NOTHING, []
        self._reader.restart()

    async def settle(self) -> None:
        """Mark what is confirmed, batch by batch: the marks' times tell the order of the appends."""
        confirmed, self._confirmed = self._confirmed, []
        for ids in confirmed:
            await self._outbox.mark(ids)

    async def _append_beside_reading(self, appending: Batch, limit: int) -> Batch:
        append = asyncio.ensure_future(self._append(appending))
        try:
            return await self._mark_and_read(appending.ids, limit)
        finally:
            await self._session.beating(append)  # what was read may follow only what was appended: order

    async def _mark_and_read(self, in_flight: list[str], limit: int) -> Batch:
        await self.settle()
        return await self._reader.read(in_flight, limit)
