"""What all who work for a handler's partition share: its sessions, its failures, how one is recorded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from asyncpg.pool import PoolConnectionProxy

from sherpa.db.translation import translated
from sherpa.events.handling.backoff import next_wait
from sherpa.events.handling.effects import Effects
from sherpa.events.handling.errors import HOPELESS, SessionLostError
from sherpa.events.handling.failures import Failures, Parked
from sherpa.events.handling.handler import Handler
from sherpa.events.handling.losses import Losses
from sherpa.events.handling.ownership import Lane, Ownership
from sherpa.events.metrics import HandlerMetrics
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """The place where one handler's events of one partition are worked off."""

    handler: Handler
    ownership: Ownership
    effects: Effects
    failures: Failures
    metrics: HandlerMetrics
    is_stopping: Callable[[], bool]
    losses: Losses = field(default_factory=Losses)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PoolConnectionProxy]:
        """Lend the first lane's session, for what is done while no lane works."""
        lane = self.ownership.lanes[0]
        async with lane.busy:
            with translated():
                yield lane.connection

    def lane_of(self, aggregate_id: UUID) -> Lane:
        """Return the lane of an aggregate, which is the same for as long as the sessions live."""
        lanes = self.ownership.lanes
        return lanes[aggregate_id.int % len(lanes)]

    async def watch[T](self, event_id: UUID, run: Callable[[], Awaitable[T]]) -> T:
        """Run what has the event's effect; an event that ends its session again and again has failed.

        Raises the handler's error, or SessionLostError.
        """
        self.losses.check(event_id)
        try:
            result = await run()
        except SessionLostError as lost:
            self.losses.note(event_id, lost)
            raise
        self.losses.forget(event_id)
        return result

    async def keep(
        self, connection: PoolConnectionProxy, events: Sequence[Parked], *, deaths: int = 0
    ) -> None:
        """Record events, all at once, without running them: to be run in their turn, or dead by a flaw."""
        kept = await self.failures.park(connection, events, deaths=deaths)
        self.metrics.duplicates.inc(len(events) - len(kept))
        dead = list(kept.values()).count("dead")
        if not dead:
            return
        self.metrics.dead_letters.inc(dead)
        first = next(event for event in events if event.flaw and event.event_id in kept)
        # Not a traceback for each, which would be most of the work where a flood of them comes.
        log.error(
            "events given up that can't be read: see `events dead-letters`",
            handler=self.handler.name,
            events=dead,
            first_event_id=str(first.event_id),
            first_event_type=first.event_type,
            reason=str(first.flaw),
        )

    async def fail(
        self,
        lane: Lane,
        parked: Parked,
        error: Exception,
        *,
        attempts: int,
        is_heard: bool = False,
    ) -> None:
        """Record that so many attempts have failed; after the last one, or a hopeless one, it is dead."""
        is_dead = isinstance(error, HOPELESS) or attempts >= self.handler.attempts
        wait = None if is_dead else next_wait(self.handler.backoff, attempts)
        with translated():
            await self.failures.fail(
                lane.connection, parked, error, attempts=attempts, wait=wait, is_heard=is_heard
            )
        facts = {
            "handler": self.handler.name,
            "event_id": str(parked.event_id),
            "event_type": parked.event_type,
            "attempts": attempts,
            "exc_info": error,
        }
        if wait is None:
            self.metrics.dead_letters.inc()
            self.losses.forget(parked.event_id)
            log.error("event given up: see `events dead-letters`", **facts)
        else:
            log.warning(
                "event failed, trying again", retry_in_seconds=round(wait.total_seconds(), 3), **facts
            )


async def side_by_side(works: Iterable[Awaitable[None]]) -> None:
    """Run all to their end, then raise the first error: a lane isn't cut off by another one's failure."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
