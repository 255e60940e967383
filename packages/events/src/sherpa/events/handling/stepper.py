"""The steps by which one handler's events of one partition are owned, tried again and worked off.

A `step` does one thing and says what came of it; how long to wait for the next one is the consumer's affair.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg

from sherpa.db.errors import DatabaseError
from sherpa.db.retry import is_transient
from sherpa.events.errors import BrokerError, BrokerUnavailableError, FencedError
from sherpa.events.handling.errors import SessionLostError
from sherpa.events.handling.outcome import Outcome
from sherpa.events.handling.ownership import Ownership
from sherpa.events.handling.refusals import refusal_of
from sherpa.events.handling.retries import Retries
from sherpa.events.handling.subscription import Subscription
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

_FAREWELL_SECONDS: Final = 2.0


class Stepper:
    """Moves one handler's partition on. `noticed` is set when there is something to do before its time."""

    def __init__(
        self,
        ownership: Ownership,
        retries: Retries,
        subscription: Subscription,
        *,
        handler: str,
        partition: int,
    ) -> None:
        self.noticed = asyncio.Event()
        self.trouble: BaseException | None = None
        """Why the last step that failed did."""
        self._ownership = ownership
        self._retries = retries
        self._subscription = subscription
        self._handler = handler
        self._facts = {"handler": handler, "partition": partition}

    async def step(self) -> Outcome:
        """Do the next thing, without waiting for something to happen.

        Raises what is no passing trouble; what was begun is done again by the next step.
        """
        self.noticed.clear()
        try:
            if not self._ownership.is_held:
                return await self._take_over()
            due = await self._retries.run_due()
            outcome = await self._consume()
            if outcome in {Outcome.WORKED, Outcome.IDLE}:
                self.trouble = None
            return Outcome.WORKED if due and outcome is Outcome.IDLE else outcome
        except (SessionLostError, DatabaseError, asyncpg.PostgresError) as error:
            if refusal := refusal_of(error):
                self.trouble = refusal
                # What is not read-only any more may be so in new sessions only.
                await self._ownership.give_up(is_spoilt=True)
                return Outcome.REFUSED
            if not isinstance(error, SessionLostError) and not is_transient(error):
                raise
            self.trouble = error.__cause__ or error
            await self._ownership.give_up()
            return Outcome.DATABASE_AWAY

    async def leave(self) -> None:
        """Acknowledge what is committed, and let another process have the partition at once."""
        try:
            with suppress(BrokerError, DatabaseError, TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    if self._ownership.is_held:
                        await self._retries.settle()
                    await self._subscription.acknowledge()
        finally:
            self._subscription.drop_token()
            await self._ownership.give_up()

    async def beat(self) -> None:
        """Keep the sessions while they have nothing to do; the next step begins anew where one is gone."""
        try:
            await self._ownership.beat()
        except DatabaseError as error:
            log.warning("handler's session lost", reason=repr(error.__cause__), **self._facts)
            self.noticed.set()

    async def _take_over(self) -> Outcome:
        self._subscription.drop_token()
        await self._ownership.give_up()
        if not await self._ownership.take(self._hear):
            return Outcome.STANDBY
        await self._retries.settle()
        if self.trouble is None:  # else it is tried again, and `Pace` says when it goes on
            log.info("handler owns partition", **self._facts)
        return Outcome.TAKEN

    async def _consume(self) -> Outcome:
        """Do what needs the broker."""
        try:
            return await self._subscription.step()
        except FencedError as error:
            self.trouble = error
            await self._ownership.beat()  # the partition is ours as long as our sessions live, and only then
            return Outcome.FENCED
        except BrokerUnavailableError as error:
            self.trouble = error
            return Outcome.BROKER_AWAY

    def _hear(self, handler: str) -> None:
        if handler in {"", self._handler}:
            self._retries.hear()
            self.noticed.set()
