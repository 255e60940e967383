"""What a consumer is to the broker: a member of its handler's group, with a token that proves it still is.

It knows which entries it has in hand and which of them are done: these are acknowledged after the COMMIT of
their effects, and as soon as the broker can be reached.
"""

import os
import socket
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from sherpa.events.brokers.broker import Broker, Entry, Token
from sherpa.events.errors import BrokerUnavailableError, FencedError, NoGroupError
from sherpa.events.handling.batches import Batches
from sherpa.events.handling.outcome import Outcome
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

_BEGINNING: Final = "0-0"


class Subscription:
    """One handler's entries of one partition, from the broker to `batches`."""

    def __init__(
        self, broker: Broker, batches: Batches, *, group: str, partition: int, batch_size: int
    ) -> None:
        self._broker = broker
        self._batches = batches
        self._group = group
        self._partition = partition
        self._batch_size = batch_size
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._token: Token | None = None
        self._has_group = True  # until the broker says otherwise
        self._claimed: str | None = _BEGINNING  # up to where what others left is taken over; None: all of it
        self._in_hand: set[str] = set()  # entries that we have read and not acknowledged
        self._finished: list[str] = []  # those of them that are done

    def drop_token(self) -> None:
        """Forget the proof of membership: the next step asks for another one."""
        self._token = None

    async def step(self) -> Outcome:
        """Join, take over what others left, or work off what is new.

        Raises FencedError and BrokerUnavailableError, and what working off does; then it begins anew.
        """
        try:
            await self.acknowledge()
            if self._token is None or not self._has_group:
                return await self._join()
            if self._claimed is not None:
                return await self._take_over_pending(self._token, self._claimed)
            return await self._work_off(self._token)
        except NoGroupError:
            # Asked for only now: where memory is full the broker refuses, even if the group is there.
            self._has_group = False
            self._claimed = _BEGINNING
            return Outcome.JOINED
        except FencedError:
            self.drop_token()
            raise
        except BrokerUnavailableError:
            self._claimed = _BEGINNING  # what was read may be pending, though we have not seen it
            raise

    async def acknowledge(self) -> None:
        """Tell the broker what is done. Raises its errors; what it has not heard is told the next time."""
        if ids := self._finished.copy():
            await self._broker.acknowledge(self._partition, self._group, ids)
            del self._finished[: len(ids)]
            self._in_hand.difference_update(ids)

    async def wait(self, *, seconds: float) -> None:
        """Return when there may be something new, at the latest after so many seconds."""
        await self._broker.wait(self._partition, self._group, seconds=seconds)

    async def _join(self) -> Outcome:
        if not self._has_group:
            if await self._broker.ensure_group(self._partition, self._group):
                log.info(
                    "group made at the stream's beginning", handler=self._group, partition=self._partition
                )
            self._has_group = True
        if self._token is None:
            self._token = await self._broker.take(self._partition, self._group)
            self._claimed = _BEGINNING
        return Outcome.JOINED

    async def _take_over_pending(self, token: Token, after: str) -> Outcome:
        entries = await self._broker.claim(
            self._partition, self._group, self._name, token, count=self._batch_size, after=after
        )
        if not entries:
            self._claimed = None
            await self._broker.reap(self._partition, self._group, keep=self._name)
            return Outcome.JOINED
        is_ours = self._in_hand.issuperset(entry.id for entry in entries)
        # A process may have died of what is not ours: that is run one by one, from failed_events.
        await self._finish(entries, is_doubtful=not is_ours)
        self._claimed = entries[-1].id
        return Outcome.WORKED

    async def _work_off(self, token: Token) -> Outcome:
        entries = await self._broker.read(
            self._partition, self._group, self._name, token, count=self._batch_size
        )
        if not entries:
            return Outcome.IDLE
        await self._finish(entries)
        return Outcome.WORKED

    async def _finish(self, entries: Sequence[Entry], *, is_doubtful: bool = False) -> None:
        """Have the entries worked off and acknowledge those that were, also where others failed."""
        self._in_hand.update(entry.id for entry in entries)
        work = self._batches.park if is_doubtful else self._batches.run
        try:
            await work(entries, self._finished)
        except BaseException:
            self._claimed = _BEGINNING  # the rest of them comes before anything new
            raise
        await self.acknowledge()
