"""One handler's events of one partition, from the stream to the effect: owned by one process at a time.

`run` never ends by itself: whatever is away is waited for, whatever was lost is taken again. The loop only
decides how long to wait for the next step.
"""

import asyncio
import logging
import random
from typing import Final

from sherpa.db.engine import Database
from sherpa.events.brokers.broker import Broker
from sherpa.events.handling.batches import Batches
from sherpa.events.handling.desk import Desk
from sherpa.events.handling.effects import Effects
from sherpa.events.handling.failures import Failures
from sherpa.events.handling.handler import Handler, Kind
from sherpa.events.handling.intake import Intake
from sherpa.events.handling.outcome import Outcome
from sherpa.events.handling.ownership import BEAT_SECONDS, Ownership
from sherpa.events.handling.pace import Pace, first_of
from sherpa.events.handling.retries import Retries
from sherpa.events.handling.stepper import Stepper
from sherpa.events.handling.subscription import Subscription
from sherpa.events.metrics import Metrics

_POLL_SECONDS: Final = 1.0
_STANDBY_SECONDS: Final = (0.5, 1.0)


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
        self._stop = asyncio.Event()
        self._ownership = Ownership(
            database,
            handler=handler.name,
            partition=partition,
            lanes=sessions_of(handler),
            longest_call_seconds=handler.timeout_seconds,
        )
        instruments = metrics.handler(handler.name)
        desk = Desk(
            handler,
            self._ownership,
            Effects(database, handler, instruments),
            Failures(handler.name, handler.on_failure, partition=partition, partitions=partitions),
            instruments,
            self._is_stopping,
        )
        intake = Intake(handler.takes, partition)
        self._retries = Retries(desk, intake, alone)
        self._subscription = Subscription(
            broker,
            Batches(desk, intake),
            group=handler.name,
            partition=partition,
            batch_size=handler.batch_size,
        )
        self._stepper = Stepper(
            self._ownership, self._retries, self._subscription, handler=handler.name, partition=partition
        )
        self._pace = Pace({"handler": handler.name, "partition": partition})

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
        """Do the next thing, as `Stepper.step`."""
        return await self._stepper.step()

    async def leave(self) -> None:
        """Acknowledge what is committed, and let another process have the partition at once."""
        await self._stepper.leave()

    async def beat(self) -> None:
        """Keep the sessions while they have nothing to do."""
        await self._stepper.beat()

    def _is_stopping(self) -> bool:
        return self._stop.is_set()

    async def _careful_step(self) -> Outcome:
        try:
            return await self.step()
        except Exception as error:  # noqa: BLE001 - else it would have to be started again by hand
            self._stepper.trouble = error
            return Outcome.FAILED

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self.beat()

    async def _rest_after(self, outcome: Outcome) -> None:
        match outcome:
            case Outcome.STANDBY:
                self._pace.well()
                await first_of(self._stop.wait(), seconds=random.SystemRandom().uniform(*_STANDBY_SECONDS))
            case Outcome.IDLE:
                self._pace.well()
                await self._wait_for_work()
            case (
                Outcome.BROKER_AWAY
                | Outcome.DATABASE_AWAY
                | Outcome.REFUSED
                | Outcome.FENCED
                | Outcome.FAILED
            ):
                seconds = self._pace.seconds(
                    outcome.value,
                    self._stepper.trouble,
                    is_expected=outcome is not Outcome.FAILED,
                    level=logging.ERROR if outcome is Outcome.REFUSED else logging.WARNING,
                )
                await first_of(self._stop.wait(), seconds=seconds)
            case Outcome.WORKED:
                self._pace.well()

    async def _wait_for_work(self) -> None:
        seconds = min(_POLL_SECONDS, self._retries.seconds_left())
        news = self._subscription.wait(seconds=seconds)
        await first_of(news, self._stepper.noticed.wait(), self._stop.wait(), seconds=seconds)
