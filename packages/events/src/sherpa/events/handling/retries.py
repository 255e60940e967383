"""Failed events, run again when their time has come, each alone with the record that its run began.

An event that kills its process is known by that record: it is run again only so often, and with no other
event of that kind in the process, so that none is taken for another's killer.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any
from uuid import UUID

from sherpa.db.translation import translated
from sherpa.events.event import Received
from sherpa.events.handling.desk import Desk, side_by_side
from sherpa.events.handling.errors import NOT_THE_EVENTS, ProcessDiedError
from sherpa.events.handling.failures import MOST_DEATHS, Failure
from sherpa.events.handling.handler import OnFailure
from sherpa.events.handling.intake import Intake, Unreadable
from sherpa.events.handling.ownership import Lane

# A chain of waiting events is released one after the other; then others have their turn, too.
_LONGEST_CHAIN = 100
# A notice may be lost with its session; so all that waits is looked through now and then.
_SWEEP_SECONDS = 30.0


class Retries:
    """Runs one handler's failed events of one partition. `alone` is held by one consumer of the process."""

    def __init__(self, desk: Desk, intake: Intake, alone: asyncio.Lock) -> None:
        self._desk = desk
        self._intake = intake
        self._alone = alone
        self._begun: set[UUID] = set()  # runs of which the database may know the beginning and not the end
        self._look_at = self._sweep_at = 0.0

    async def run_due(self) -> int:
        """Run the events that are due, and those that waited behind them; return how many were due.

        Raises SessionLostError and sherpa.db's errors.
        """
        desk = self._desk
        if not desk.failures.is_changed and self.seconds_left():
            return 0
        due = await self._look()
        lanes: dict[Lane, list[Failure]] = {lane: [] for lane in desk.ownership.lanes}
        for failure in due:
            if not failure.deaths:
                lanes[desk.lane_of(failure.event.aggregate_id)].append(failure)
        await side_by_side(self._run_lane(lane, part) for lane, part in lanes.items() if part)
        suspects = [failure for failure in due if failure.deaths]
        if suspects:
            async with self._alone:
                await self._run_lane(desk.ownership.lanes[0], suspects)
        return len(due)

    def hear(self) -> None:
        """Look again at once: an operator has changed something."""
        self._desk.failures.is_changed = True
        self._sweep_at = 0.0

    def seconds_left(self) -> float:
        """Return how long until there may be something to run."""
        return 0.0 if self._desk.failures.is_changed else max(0.0, self._look_at - monotonic())

    async def settle(self) -> None:
        """Begin or end an ownership: take back the records of runs that this process has outlived."""
        self.hear()
        for event_id in tuple(self._begun):
            async with self._desk.session() as connection:
                await self._desk.failures.survive(connection, event_id)
            self._begun.discard(event_id)

    async def _look(self) -> list[Failure]:
        failures = self._desk.failures
        failures.is_changed = False
        async with self._desk.session() as connection:
            if monotonic() >= self._sweep_at:
                await failures.release_all(connection)
                self._sweep_at = monotonic() + _SWEEP_SECONDS
            due = await failures.due(connection)
            seconds = 0.0 if due else await failures.seconds_to_next(connection)
        self._look_at = min(monotonic() + seconds, self._sweep_at)
        return due

    async def _run_lane(self, lane: Lane, failures: Sequence[Failure]) -> None:
        async with lane.busy:
            for failure in failures:
                following: Failure | None = failure
                for _ in range(_LONGEST_CHAIN):
                    if following is None or self._desk.is_stopping():
                        break
                    following = await self._run_one(lane, following)

    async def _run_one(self, lane: Lane, failure: Failure) -> Failure | None:
        """Run one event; return the one behind it, which may run now."""
        fields = failure.event.fields
        if failure.deaths >= MOST_DEATHS:
            return await self._give_up(lane, failure, ProcessDiedError(), attempts=failure.attempts)
        if not self._intake.takes(fields):  # the handler doesn't take its type any more
            return await self._drop(lane, failure)
        work = self._intake.read(str(failure.event.event_id), fields)
        if isinstance(work, Unreadable):
            return await self._give_up(lane, failure, work.error, attempts=failure.attempts + 1)
        self._begun.add(work.event.id)
        following = await self._attempt(lane, failure, work.event)
        self._begun.discard(work.event.id)
        return following

    async def _attempt(self, lane: Lane, failure: Failure, event: Received[Any]) -> Failure | None:
        desk = self._desk
        with translated():
            if not await desk.failures.begin(lane.connection, failure):
                return None  # an operator was faster
        desk.metrics.retries.inc()
        try:
            return await desk.watch(
                event.id, lambda: desk.effects.apply_failed(lane, event, failure, desk.failures)
            )
        except NOT_THE_EVENTS:
            raise
        except Exception as error:  # noqa: BLE001 - handlers raise what they like
            await desk.fail(lane, failure.event, error, attempts=failure.attempts + 1, is_heard=True)
        return await self._release_follower(lane, failure)

    async def _give_up(
        self, lane: Lane, failure: Failure, error: Exception, *, attempts: int
    ) -> Failure | None:
        await self._desk.fail(lane, failure.event, error, attempts=attempts)
        return await self._release_follower(lane, failure)

    async def _release_follower(self, lane: Lane, failure: Failure) -> Failure | None:
        """Return what may run though this has failed: under "skip", what was kept behind its first run."""
        if self._desk.handler.on_failure is OnFailure.BLOCK:
            return None
        with translated():
            return await self._desk.failures.release(lane.connection, failure.event.aggregate_id)

    async def _drop(self, lane: Lane, failure: Failure) -> Failure | None:
        with translated():
            await self._desk.failures.remove(lane.connection, failure.event.event_id)
            return await self._desk.failures.release(lane.connection, failure.event.aggregate_id)
