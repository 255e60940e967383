"""One process's time as the leader of a partition: as long as its session, which holds the lock.

The broker's token is taken anew after whatever leaves an append's outcome unknown, so that one which is still
under way somewhere can't arrive after those that follow.
"""

from collections.abc import Collection, Sequence
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.brokers.broker import Broker, Token
from sherpa.events.errors import BrokerError, BrokerFullError, FencedError
from sherpa.events.metrics import RelayMetrics
from sherpa.events.relay import layout
from sherpa.events.relay.bookmark import bookmark_at
from sherpa.events.relay.capacity import Capacity
from sherpa.events.relay.healing import Healing
from sherpa.events.relay.holdings import Holdings
from sherpa.events.relay.outbox import Batch, Outbox, created_at
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.publication import Publication
from sherpa.events.relay.reading import Reader
from sherpa.events.relay.session import Session

_NO_TOKEN: Final = Token("")


class Term:
    """The lead of one partition, on the session that holds its lock.

    `holdings` outlive it; `groups` are there before anything is appended.
    """

    def __init__(
        self,
        session: Session,
        broker: Broker,
        partition: int,
        *,
        settings: EventsSettings,
        metrics: RelayMetrics,
        holdings: Holdings,
        groups: Collection[str],
    ) -> None:
        self._session = session
        self._broker = broker
        self._partition = partition
        self._settings = settings
        self._metrics = metrics
        self._token = _NO_TOKEN
        self._is_new = False
        self._is_taken_anew = False
        self._capacity = Capacity(broker, partition, settings)
        self._holdings = holdings
        self._healing = Healing(
            broker, partition, holdings, groups=groups, settings=settings, metrics=metrics
        )
        self._outbox = Outbox(session.connection, partition, settings.partitions)
        self._reader = Reader(self._outbox, settings.payload_bytes)
        self._publication = Publication(session, self._outbox, self._reader, self._append)

    async def step(self) -> Outcome:
        """Move a batch on.

        Raises BrokerError when the broker is away, and the driver's errors when the session has ended, and
        with it the term.
        """
        try:
            if not self._token:
                if await self._find_undrained():
                    return Outcome.UNDRAINED
                await self._take()
            return await self._move()
        except BrokerFullError:
            self._capacity.refused()
            await self.settle()
            return Outcome.PAUSED
        except FencedError:
            self._token = _NO_TOKEN
            self._publication.restart()  # what was confirmed may be lost: it is not to be marked
            return Outcome.FENCED
        except BrokerError:
            self._token = _NO_TOKEN
            await self.settle()
            raise

    def read_again(self) -> None:
        """Read the outbox from its beginning next time: events wait there that had been published."""
        self._reader.restart()

    async def settle(self) -> None:
        """Mark what is confirmed."""
        await self._publication.settle()

    async def leave(self) -> None:
        """Mark what is confirmed, and heal what has been lost: whoever leads next can't know of it."""
        await self.settle()
        if self._holdings.since is not None:
            await self._look()

    async def _find_undrained(self) -> Sequence[int]:
        return await self._session.beating(layout.adopt(self._broker, self._settings.partitions))

    async def _take(self) -> None:
        # The right to take the role is the lock, and that is the session's. What can't be marked, where the
        # server is read-only or its disk is full, would be appended again and again.
        await self._outbox.touch()
        self._token = await self._session.beating(self._broker.take(self._partition, layout.ROLE))
        number = int(self._token.partition(":")[0])
        self._is_new = self._is_new or number == 1  # also where the first look failed, and it was taken again
        self._is_taken_anew = True
        self._metrics.term.set(number)
        self._capacity.forget()

    async def _look(self) -> None:
        now = await self._outbox.now()
        state = await self._session.beating(self._capacity.look())
        if await self._healing.check(
            self._outbox, state, now, is_new=self._is_new, is_taken_anew=self._is_taken_anew
        ):
            self._publication.restart()
        self._is_taken_anew = False

    async def _move(self) -> Outcome:
        if self._capacity.is_look_due:
            await self._look()
        waiting = self._publication.waiting
        limit = min(self._settings.batch_size, max(0, self._capacity.room - waiting))
        if self._capacity.is_paused or not (limit or waiting):
            await self._session.beat()
            await self.settle()
            return Outcome.PAUSED
        moved = await self._publication.step(limit)
        if self._publication.waiting:
            return Outcome.MOVED
        return Outcome.CAUGHT_UP if moved else Outcome.IDLE

    async def _append(self, batch: Batch) -> None:
        self._holdings.end = await self._broker.append(
            self._partition,
            self._token,
            batch.entries,
            after=self._holdings.end,
            bookmark=bookmark_at(batch.entries[-1], self._settings.partitions),
        )
        count = len(batch.entries)
        self._capacity.appended(count)
        self._metrics.published.inc(count)
        self._metrics.batch_size.observe(count)
        now = self._reader.server_time()
        self._metrics.publish_latency.observe(
            [(now - created_at(entry)).total_seconds() for entry in batch.entries]
        )
