"""The relay of one partition: stands by until it may lead, then publishes, whatever goes away and comes back.

`step` does one thing and tells what it came to; `run` is the loop around it, with the rests in between.
"""

import asyncio
import random
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import asyncpg

from sherpa.config import DatabaseSettings, EventsSettings
from sherpa.db.dsn import require_sessions
from sherpa.db.errors import DatabaseError
from sherpa.events.brokers.broker import Broker
from sherpa.events.errors import BrokerError
from sherpa.events.metrics import Metrics
from sherpa.events.relay import leadership
from sherpa.events.relay.holdings import Holdings
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.reporting import Reporter
from sherpa.events.relay.session import CLOSE_SECONDS, Session, open_session
from sherpa.events.relay.term import Term

STANDBY_SECONDS: Final = 0.25
# Who has just published is likely to publish more: for so long after an event the relay looks by itself,
# every 2 ms, in which others may join it in a batch.
COLLECT_SECONDS: Final = 0.002
AWAKE_SECONDS: Final = 0.012
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.1, 2.0

DATABASE_ERRORS: Final = (
    DatabaseError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Relay:
    """One partition's relay in this process. The broker is its owner's to close.

    `groups` are those of the handlers that this process runs: the relay makes them before it appends.
    Raises DatabaseRefusedError for settings that lead to a pooler, and ValueError for a partition beyond the
    last.
    """

    def __init__(
        self,
        database_settings: DatabaseSettings,
        broker: Broker,
        *,
        partition: int = 0,
        settings: EventsSettings,
        metrics: Metrics | None = None,
        groups: Collection[str] = (),
    ) -> None:
        require_sessions(database_settings, "The relay")
        if not 0 <= partition < settings.partitions:
            raise ValueError(f"There are {settings.partitions} partitions, from 0 on, and no {partition}.")
        self._database_settings = database_settings
        self._broker = broker
        self._partition = partition
        self._settings = settings
        self._metrics = (metrics or Metrics()).relay(partition)
        self._reporter = Reporter(partition, settings.partitions)
        self._holdings = Holdings()
        self._groups = groups
        self._woken = asyncio.Event()
        self._session: Session | None = None
        self._term: Term | None = None
        self._failures = 0
        self._awake_until = 0.0

    @property
    def is_leading(self) -> bool:
        """Whether this relay leads its partition, as far as it knows."""
        return self._term is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set; then finish the batch, mark what is confirmed and give up the lead."""
        stopping = asyncio.ensure_future(stop.wait())
        stopping.add_done_callback(lambda _: self._woken.set())
        try:
            while not stop.is_set():
                outcome = await self.step()
                if not stop.is_set():
                    await self._rest(outcome, stop)
        finally:
            stopping.cancel()
            await self.close()

    async def step(self) -> Outcome:
        """Connect, seek the lead or move a batch on, whichever is next; a server away is an outcome, too."""
        self._woken.clear()
        try:
            outcome = await self._step()
        except BrokerError as error:
            outcome = Outcome.BROKER_AWAY
            self._fail(outcome, error)
        except DATABASE_ERRORS as error:
            outcome = Outcome.DATABASE_AWAY
            self._abandon()
            self._fail(outcome, error)
        else:
            if outcome is not Outcome.LEADING:  # that alone proves little
                self._failures = 0
                self._reporter.tell(outcome)
        self._metrics.paused.set(outcome is Outcome.PAUSED)
        return outcome

    async def close(self) -> None:
        """Mark what is confirmed, give up the lead and end the session."""
        session, term = self._session, self._term
        self._session = self._term = None
        self._show_leading(is_leading=False)
        if session is None:
            return
        if term is not None:
            with suppress(*DATABASE_ERRORS, BrokerError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await term.leave()
        await session.close()

    async def _step(self) -> Outcome:
        if self._session is None:
            name = f"sherpa-relay-{self._partition}"
            self._session = await open_session(self._database_settings, name, self._woken.set)
        if self._term is not None:
            return await self._term.step()
        outcome = await leadership.seek(self._session, self._partition, self._settings.partitions)
        if outcome is Outcome.LEADING:
            await self._session.listen(self._read_again)
            self._term = Term(
                self._session,
                self._broker,
                self._partition,
                settings=self._settings,
                metrics=self._metrics,
                holdings=self._holdings,
                groups=self._groups,
            )
            self._show_leading(is_leading=True)
        return outcome

    def _read_again(self) -> None:
        if self._term is not None:
            self._term.read_again()

    def _fail(self, outcome: Outcome, error: Exception) -> None:
        self._failures += 1
        self._metrics.failures.inc()
        self._reporter.tell(outcome, error)

    def _abandon(self) -> None:
        """Let go of a session that is lost, or may be: what it still holds ends with it."""
        if self._session is not None:
            self._session.connection.terminate()
        self._session = self._term = None
        self._show_leading(is_leading=False)

    def _show_leading(self, *, is_leading: bool) -> None:
        self._metrics.leader.set(is_leading)
        self._metrics.listening.set(is_leading)
        if not is_leading:
            self._metrics.term.set(0)

    async def _rest(self, outcome: Outcome, stop: asyncio.Event) -> None:
        event, seconds = self._choose_rest(outcome, stop)
        if not seconds:
            return
        rest = _wait(event, seconds)
        with suppress(*DATABASE_ERRORS):  # the next step finds the session ended, and deals with that
            await (self._session.beating(rest) if self._session else rest)

    def _choose_rest(self, outcome: Outcome, stop: asyncio.Event) -> tuple[asyncio.Event, float]:
        match outcome:
            case Outcome.LEADING | Outcome.MOVED:
                return stop, 0.0
            case Outcome.CAUGHT_UP:
                self._awake_until = time.monotonic() + AWAKE_SECONDS
                return stop, COLLECT_SECONDS
            case Outcome.IDLE if time.monotonic() < self._awake_until:
                return stop, COLLECT_SECONDS
            case Outcome.IDLE:
                return self._woken, self._settings.poll_seconds
            case Outcome.BROKER_AWAY | Outcome.DATABASE_AWAY:
                # After a thousand failures the power would be no number any more.
                longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(self._failures, 10))
                return stop, random.uniform(0, longest)  # noqa: S311 - jitter, not a secret
            case _:
                return stop, STANDBY_SECONDS


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
