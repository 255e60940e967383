"""One handler's events of one partition, from the stream to the effect: owned by one process at a time.

`run` never ends by itself: whatever is away is waited for, whatever was lost is taken again. A `step` does
one thing and says what came of it; the loop only decides how long to wait for the next one.
"""

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseError
from sherpa.db.retry import is_transient
from sherpa.events.brokers.broker import Broker, Entry, Token
from sherpa.events.errors import BrokerError, BrokerUnavailableError, FencedError, NoGroupError
from sherpa.events.handling.batches import Batches
from sherpa.events.handling.desk import Desk
from sherpa.events.handling.effects import Effects
from sherpa.events.handling.errors import SessionLostError
from sherpa.events.handling.failures import Failures
from sherpa.events.handling.handler import Handler, Kind
from sherpa.events.handling.intake import Intake
from sherpa.events.handling.outcome import Outcome
from sherpa.events.handling.ownership import BEAT_SECONDS, Ownership
from sherpa.events.handling.pace import Pace
from sherpa.events.handling.retries import Retries
from sherpa.events.metrics import Metrics
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

_BEGINNING: Final = "0-0"
_POLL_SECONDS: Final = 1.0
_STANDBY_SECONDS: Final = (0.5, 1.0)
_FAREWELL_SECONDS: Final = 2.0

type _BatchWork = Callable[[Sequence[Entry], list[str]], Awaitable[None]]


def sessions_of(handler: Handler) -> int:
    """Return how many database connections a handler needs for each partition that a process owns."""
    return handler.concurrency if handler.kind is Kind.EACH else 1


class Consumer:
    """Gives a handler the events of a partition. `alone` is a lock that a process's consumers share."""

    def __init__(
        self,
        handler: Handler,
        partition: int,
        *,
        partitions: int,
        database: Database,
        broker: Broker,
        metrics: Metrics,
        alone: asyncio.Lock,
    ) -> None:
        self.handler = handler
        self.partition = partition
        self._broker = broker
        self._ownership = Ownership(
            database,
            handler=handler.name,
            partition=partition,
            lanes=sessions_of(handler),
            longest_call_seconds=handler.timeout_seconds,
        )
        instruments = metrics.handler(handler.name)
        self._desk = Desk(
            handler,
            self._ownership,
            Effects(database, handler, instruments),
            Failures(handler.name, handler.on_failure, partition=partition, partitions=partitions),
            instruments,
            self._is_stopping,
        )
        intake = Intake(handler.takes, partition)
        self._batches = Batches(self._desk, intake)
        self._retries = Retries(self._desk, intake, alone)
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._stop = asyncio.Event()
        self._noticed = asyncio.Event()
        self._token: Token | None = None
        self._has_group = True  # until the broker says otherwise
        self._claimed: str | None = _BEGINNING  # up to where what others left is taken over; None: all of it
        self._facts = {"handler": handler.name, "partition": partition}
        self._pace = Pace(self._facts)
        self._trouble: BaseException | None = None
        self._in_hand: set[str] = set()  # entries that we have read and not acknowledged
        self._finished: list[str] = []  # those of them that are done

    @property
    def is_owner(self) -> bool:
        """Tell whether this process owns the partition, as far as it has heard."""
        return self._ownership.is_held

    async def run(self, stop: asyncio.Event) -> None:
        """Own the partition, or stand by, until `stop` is set: then finish the events under way and leave.

        Cancelled, it rolls them back. What is committed is acknowledged, and the partition free, in any case.
        """
        self._stop = stop
        beats = asyncio.create_task(self._keep_beating())
        try:
            while not stop.is_set():
                await self._rest_after(await self._careful_step())
        finally:
            beats.cancel()
            await self.leave()

    async def step(self) -> Outcome:
        """Do the next thing, without waiting for something to happen.

        Raises what is no passing trouble; what was begun is done again by the next step.
        """
        self._noticed.clear()
        try:
            if not self._ownership.is_held:
                return await self._take_over()
            due = await self._retries.run_due()
            outcome = await self._consume()
            return Outcome.WORKED if due and outcome is Outcome.IDLE else outcome
        except (SessionLostError, DatabaseError) as error:
            if isinstance(error, DatabaseError) and not is_transient(error):
                raise
            self._trouble = error.__cause__ or error
            await self._ownership.give_up()
            return Outcome.DATABASE_AWAY

    async def leave(self) -> None:
        """Acknowledge what is committed, and let another process have the partition at once."""
        try:
            with suppress(BrokerError, DatabaseError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    if self._ownership.is_held:
                        await self._retries.settle()
                    await self._acknowledge()
        finally:
            self._token = None
            await self._ownership.give_up()

    async def beat(self) -> None:
        """Keep the sessions while they have nothing to do; the next step begins anew where one is gone."""
        try:
            await self._ownership.beat()
        except DatabaseError as error:
            log.warning("handler's session lost", reason=repr(error.__cause__), **self._facts)
            self._noticed.set()

    def _is_stopping(self) -> bool:
        return self._stop.is_set()

    async def _take_over(self) -> Outcome:
        self._token = None
        await self._ownership.give_up()
        if not await self._ownership.take(self._hear):
            return Outcome.STANDBY
        await self._retries.settle()
        log.info("handler owns partition", **self._facts)
        return Outcome.TAKEN

    async def _consume(self) -> Outcome:
        """Do what needs the broker."""
        try:
            await self._acknowledge()
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
        except FencedError as error:
            self._token = None
            self._trouble = error
            await self._ownership.beat()  # the partition is ours as long as our sessions live, and only then
            return Outcome.FENCED
        except BrokerUnavailableError as error:
            self._trouble = error
            self._claimed = _BEGINNING  # what was read may be pending, though we have not seen it
            return Outcome.BROKER_AWAY

    async def _join(self) -> Outcome:
        if not self._has_group:
            if await self._broker.ensure_group(self.partition, self.handler.name):
                log.info("group made at the stream's beginning", **self._facts)
            self._has_group = True
        if self._token is None:
            self._token = await self._broker.take(self.partition, self.handler.name)
            self._claimed = _BEGINNING
        return Outcome.JOINED

    async def _take_over_pending(self, token: Token, after: str) -> Outcome:
        entries = await self._broker.claim(
            self.partition, self.handler.name, self._name, token, count=self.handler.batch_size, after=after
        )
        if not entries:
            self._claimed = None
            await self._broker.reap(self.partition, self.handler.name, keep=self._name)
            return Outcome.JOINED
        is_ours = self._in_hand.issuperset(entry.id for entry in entries)
        # A process may have died of what is not ours: that is run one by one, from failed_events.
        await self._finish(entries, self._batches.run if is_ours else self._batches.park)
        self._claimed = entries[-1].id
        return Outcome.WORKED

    async def _work_off(self, token: Token) -> Outcome:
        entries = await self._broker.read(
            self.partition, self.handler.name, self._name, token, count=self.handler.batch_size
        )
        if not entries:
            return Outcome.IDLE
        await self._finish(entries, self._batches.run)
        return Outcome.WORKED

    async def _finish(self, entries: Sequence[Entry], work: _BatchWork) -> None:
        """Have the entries worked off and acknowledge those that were, also where others failed."""
        self._in_hand.update(entry.id for entry in entries)
        try:
            await work(entries, self._finished)
        except BaseException:
            self._claimed = _BEGINNING  # the rest of them comes before anything new
            raise
        await self._acknowledge()

    async def _acknowledge(self) -> None:
        if ids := self._finished.copy():
            await self._broker.acknowledge(self.partition, self.handler.name, ids)
            del self._finished[: len(ids)]
            self._in_hand.difference_update(ids)

    def _hear(self, handler: str) -> None:
        if handler in {"", self.handler.name}:
            self._retries.hear()
            self._noticed.set()

    async def _careful_step(self) -> Outcome:
        try:
            return await self.step()
        except Exception as error:  # noqa: BLE001 - else it would have to be started again by hand
            self._trouble = error
            return Outcome.FAILED

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def _rest_after(self, outcome: Outcome) -> None:
        match outcome:
            case Outcome.STANDBY:
                self._pace.well()
                await self._wait(self._stop.wait(), seconds=random.SystemRandom().uniform(*_STANDBY_SECONDS))
            case Outcome.IDLE:
                self._pace.well()
                await self._wait_for_work()
            case Outcome.BROKER_AWAY | Outcome.DATABASE_AWAY | Outcome.FENCED | Outcome.FAILED:
                seconds = self._pace.seconds(
                    outcome.value, self._trouble, is_expected=outcome is not Outcome.FAILED
                )
                await self._wait(self._stop.wait(), seconds=seconds)
            case Outcome.WORKED:
                self._pace.well()

    async def _wait_for_work(self) -> None:
        seconds = min(_POLL_SECONDS, self._retries.seconds_left())
        news = self._broker.wait(self.partition, self.handler.name, seconds=seconds)
        await self._wait(news, self._noticed.wait(), self._stop.wait(), seconds=seconds)

    @staticmethod
    async def _wait(*happenings: Coroutine[Any, Any, object], seconds: float) -> None:
        """Return after the first of them, or after so many seconds; what they raise, the next step sees."""
        tasks = [asyncio.create_task(happening) for happening in happenings]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
