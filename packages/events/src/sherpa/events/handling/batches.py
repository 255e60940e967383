"""New entries: each one applied, or recorded as failed, or kept behind an earlier one of its aggregate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sherpa.db.errors import DatabaseUnavailableError, TransactionEndedError
from sherpa.db.translation import translated
from sherpa.events.brokers.broker import Entry
from sherpa.events.handling.desk import Desk, side_by_side
from sherpa.events.handling.errors import NOT_THE_EVENTS, SessionLostError
from sherpa.events.handling.handler import Kind, OnFailure
from sherpa.events.handling.intake import Intake, Unreadable, Work
from sherpa.events.handling.ownership import Lane
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)


@dataclass(slots=True)
class _Plan:
    """A batch, sorted: what runs now, and what is only written down, after that and in the stream's order."""

    known: list[str] = field(default_factory=list)  # failed before: the entries' ids
    now: list[Work] = field(default_factory=list)
    later: list[Work | Unreadable] = field(default_factory=list)


class Batches:
    """Works off batches of entries for one handler's partition."""

    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._desk = desk
        self._intake = intake
        self._is_doubtful = False

    async def run(self, entries: Sequence[Entry], finished: list[str]) -> None:
        """Work off the entries; put the ids of those to be acknowledged into `finished`, as they are done.

        Stops before the next event when the desk is stopping. Raises SessionLostError and sherpa.db's errors.
        """
        works = self.read(entries, finished)
        if not works:
            return
        plan = await self._plan(works)
        finished += plan.known
        done = len(finished)
        await self._run_now(plan.now, finished)
        have_all_run = len(finished) - done == len(plan.now)
        if have_all_run:  # else the rest waits for them: it stays pending
            await self._write_down(plan.later, finished)

    async def park(self, entries: Sequence[Entry], finished: list[str]) -> None:
        """Keep entries under which a process may have died, to be run one by one; else as `run`."""
        await self._write_down(self.read(entries, finished), finished, deaths=1)

    def read(self, entries: Sequence[Entry], finished: list[str]) -> list[Work | Unreadable]:
        """Return the work in the entries; those without any go to `finished`."""
        works = []
        for entry in entries:
            if entry.fields is None:
                self._desk.metrics.lost.inc()
                log.error("entry was deleted before it was handled", entry_id=entry.id, handler=self._name)
            elif self._intake.takes(entry.fields):
                works.append(self._intake.read(entry.id, entry.fields))
                continue
            finished.append(entry.id)
        return works

    @property
    def _name(self) -> str:
        return self._desk.handler.name

    async def _plan(self, works: Sequence[Work | Unreadable]) -> _Plan:
        desk = self._desk
        async with desk.session() as connection:
            blocked, failed = await desk.failures.look(
                connection,
                {work.parked.aggregate_id for work in works},
                {work.parked.event_id for work in works},
            )
        plan = _Plan()
        for work in works:
            if work.parked.event_id in failed:
                plan.known.append(work.entry_id)
            elif work.parked.aggregate_id in blocked:
                plan.later.append(work)
            elif isinstance(work, Unreadable):
                plan.later.append(work)
                if desk.handler.on_failure is OnFailure.BLOCK:
                    blocked.add(work.parked.aggregate_id)
            else:
                plan.now.append(work)
        return plan

    async def _run_now(self, works: Sequence[Work], finished: list[str]) -> None:
        desk = self._desk
        if desk.handler.kind is Kind.EACH:
            lanes: dict[Lane, list[Work]] = {lane: [] for lane in desk.ownership.lanes}
            for work in works:
                lanes[desk.lane_of(work.parked.aggregate_id)].append(work)
            await side_by_side(self._run_lane(lane, part, finished) for lane, part in lanes.items() if part)
        elif works and not await self._run_together(works, finished):
            await self._run_lane(desk.ownership.lanes[0], works, finished)

    async def _run_together(self, works: Sequence[Work], finished: list[str]) -> bool:
        """Do all of it in one transaction; False where it failed, and each must be done alone."""
        if self._is_doubtful:
            self._is_doubtful = False
            return False
        lane = self._desk.ownership.lanes[0]
        events = [work.event for work in works]
        try:
            async with lane.busy:
                await self._desk.effects.apply_together(lane, events)
        except SessionLostError:
            self._is_doubtful = True  # one of them may be to blame: which one is seen one by one
            raise
        except DatabaseUnavailableError:
            raise
        except TransactionEndedError as error:
            # What is committed counts as done, with its effect or without: none of it can be done again.
            for work in works:
                await self._desk.fail(lane, work.parked, error, attempts=1)
        except Exception as error:
            log.info("batch failed, its events are redone one by one", handler=self._name, exc_info=error)
            return False
        finished += [work.entry_id for work in works]
        return True

    async def _run_lane(self, lane: Lane, works: Sequence[Work], finished: list[str]) -> None:
        blocked: set[UUID] = set()
        async with lane.busy:
            for work in works:
                if self._desk.is_stopping():
                    return
                if work.parked.aggregate_id in blocked:
                    with translated():
                        await self._desk.failures.park(lane.connection, [work.parked])
                elif not await self._run_one(lane, work) and self._desk.handler.on_failure is OnFailure.BLOCK:
                    blocked.add(work.parked.aggregate_id)
                finished.append(work.entry_id)

    async def _run_one(self, lane: Lane, work: Work) -> bool:
        """Do what the event asks for; False where it failed and is recorded so."""
        desk, event = self._desk, work.event
        try:
            await desk.watch(event.id, lambda: desk.effects.apply(lane, event))
        except NOT_THE_EVENTS:
            raise
        except Exception as error:  # noqa: BLE001 - handlers raise what they like
            await desk.fail(lane, work.parked, error, attempts=1)
            return False
        return True

    async def _write_down(
        self, works: Sequence[Work | Unreadable], finished: list[str], *, deaths: int = 0
    ) -> None:
        if works:
            async with self._desk.session() as connection:
                await self._desk.keep(connection, [work.parked for work in works], deaths=deaths)
            finished += [work.entry_id for work in works]
