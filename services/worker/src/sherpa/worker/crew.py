"""Who does the work: a task for each seat that is ours, begun and ended as the seats are shared out."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sherpa.events.seats import RELAY, Roster, Seat
from sherpa.telemetry.logging import get_logger

REST_SECONDS = 5.0

_log = get_logger(__name__)


class Post(Protocol):
    """The work of one seat: the relay of a partition, or a handler's events of it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Take the seat as soon as it is free, and work; once `stop` is set, finish and give the seat up.

        Cancelled, roll back what has begun and give the seat up.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Sitting:
    task: asyncio.Task[None]
    stop: asyncio.Event


class Crew:
    """The posts of one worker. `appoint` makes the post of a seat."""

    def __init__(self, roster: Roster, appoint: Callable[[Seat], Post], *, partitions: int) -> None:
        self._roster, self._appoint, self._partitions = roster, appoint, partitions
        self._sittings: dict[Seat, _Sitting] = {}
        self._resting: dict[Seat, float] = {}
        self.leftovers: frozenset[int] = frozenset()
        """Streams of an earlier division into more partitions: handled to their end, not written to."""

    @property
    def seats(self) -> frozenset[Seat]:
        """The seats that somebody here works at, or waits for."""
        return frozenset(self._sittings)

    async def step(self) -> None:
        """Look who should sit where, and begin and end posts accordingly. Raises what `Roster.look` does."""
        wanted = self._with_leftovers(await self._roster.look())
        self._forget_ended()
        for seat in wanted - self.seats:
            if self._resting.get(seat, 0) <= time.monotonic():
                self._begin(seat)
        for seat in self.seats - wanted:
            self._sittings[seat].stop.set()

    async def dismiss(self, *, within_seconds: float, hurry: asyncio.Future[None]) -> bool:
        """Let others have the seats, finish what runs, and end the rest when the time is up or in a hurry.

        Tell whether all finished by themselves.
        """
        self._roster.leave()
        for sitting in self._sittings.values():
            sitting.stop.set()
        tasks = {sitting.task for sitting in self._sittings.values()}
        finished = not tasks or await _all_done(tasks, hurry, within_seconds)
        for task in tasks:
            task.cancel()
        return finished

    async def gone(self, *, within_seconds: float) -> None:
        """Wait for the posts that were cancelled, which roll back what they had begun."""
        if tasks := {sitting.task for sitting in self._sittings.values()}:
            await asyncio.wait(tasks, timeout=within_seconds)
        self._forget_ended()

    def _with_leftovers(self, seats: frozenset[Seat]) -> frozenset[Seat]:
        """Add the old partitions that go with a handler's seat: every worker counts them in the same way."""
        return seats | {
            Seat(seat.role, old)
            for seat in seats
            for old in self.leftovers
            if seat.role != RELAY and old % self._partitions == seat.partition
        }

    def _begin(self, seat: Seat) -> None:
        stop = asyncio.Event()
        working = self._appoint(seat).run(stop)
        task = asyncio.create_task(working, name=f"{seat.role}/{seat.partition}")
        self._sittings[seat] = _Sitting(task, stop)

    def _forget_ended(self) -> None:
        for seat, sitting in list(self._sittings.items()):
            if sitting.task.done():
                del self._sittings[seat]
                if not sitting.task.cancelled() and (error := sitting.task.exception()):
                    self._rest(seat, error)

    def _rest(self, seat: Seat, error: BaseException) -> None:
        """Let a post that ended by an error, which is a fault of ours, begin again only after a while."""
        _log.error("a post failed and begins again", role=seat.role, partition=seat.partition, exc_info=error)
        self._resting[seat] = time.monotonic() + REST_SECONDS


async def _all_done(
    tasks: set[asyncio.Task[None]], hurry: asyncio.Future[None], within_seconds: float
) -> bool:
    finishing = asyncio.ensure_future(asyncio.wait(tasks))
    either: set[asyncio.Future[Any]] = {finishing, hurry}
    await asyncio.wait(either, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
    finishing.cancel()
    return all(task.done() for task in tasks)
