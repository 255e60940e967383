"""The crew: posts begin and end as seats are shared out, and everything ends in time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sherpa.config import DatabaseSettings
from sherpa.events.seats import Roster, Seat
from sherpa.worker import crew as crews
from sherpa.worker.crew import Crew

PATIENCE = 30.0


class Worked:
    """A post that notes what becomes of it. `stubborn` finishes only when cancelled; `broken` fails."""

    def __init__(self, *, stubborn: bool = False, broken: bool = False) -> None:
        self.stubborn, self.broken = stubborn, broken
        self.ended: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        if self.broken:
            raise RuntimeError("a fault of ours")
        try:
            await stop.wait()
            if self.stubborn:
                await asyncio.sleep(PATIENCE * 10)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("finished")


class Stage:
    """A crew whose posts are remembered."""

    def __init__(self, settings: DatabaseSettings, *roles: str, stubborn: bool = False) -> None:
        self.posts: dict[Seat, list[Worked]] = {}
        self.broken: set[str] = set()
        self.stubborn = stubborn
        self.crew = Crew(Roster(settings, roles, partitions=1), self.appoint, partitions=1)

    def appoint(self, seat: Seat) -> Worked:
        """Make a post and remember it."""
        post = Worked(stubborn=self.stubborn, broken=seat.role in self.broken)
        self.posts.setdefault(seat, []).append(post)
        return post

    async def dismiss(self, seconds: float = PATIENCE) -> bool:
        """End it."""
        hurry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        finished = await self.crew.dismiss(within_seconds=seconds, hurry=hurry)
        await self.crew.gone(within_seconds=PATIENCE)
        return finished


@pytest.fixture
async def alone(database_settings: DatabaseSettings) -> AsyncIterator[Stage]:
    """A crew that nobody shares with, after its first step."""
    stage = Stage(database_settings, "relay", "handler/a")
    await stage.crew.step()
    yield stage
    await stage.dismiss()


async def test_a_crew_that_is_alone_takes_every_seat(alone: Stage) -> None:
    """Each seat has one post, and a further step changes nothing."""
    await alone.crew.step()

    assert {Seat("relay", 0), Seat("handler/a", 0)} == alone.crew.seats
    assert [1, 1] == [len(posts) for posts in alone.posts.values()]


async def test_old_streams_are_handled_and_not_written_to(alone: Stage) -> None:
    """A partition that only an earlier division had goes to the handlers, and no relay is made for it."""
    alone.crew.leftovers = frozenset({3})

    await alone.crew.step()

    assert {Seat("relay", 0), Seat("handler/a", 0), Seat("handler/a", 3)} == alone.crew.seats


async def test_a_second_crew_gets_its_share(alone: Stage, database_settings: DatabaseSettings) -> None:
    """When another worker comes, one post finishes, and the other worker begins with that seat."""
    other = Stage(database_settings, "relay", "handler/a")
    await other.crew.step()

    while len(alone.crew.seats) > 1:
        await alone.crew.step()

    assert alone.crew.seats.isdisjoint(other.crew.seats)
    assert [["finished"]] == [posts[0].ended for posts in alone.posts.values() if posts[0].ended]
    await other.dismiss()


async def test_a_post_that_fails_begins_again_after_a_rest(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in one post neither ends the others nor is tried again in a tight loop."""
    stage = Stage(database_settings, "relay", "handler/a")
    stage.broken.add("handler/a")
    for _ in range(5):
        await stage.crew.step()
        await asyncio.sleep(0)
    resting = len(stage.posts[Seat("handler/a", 0)])

    assert await stage.dismiss()
    monkeypatch.setattr(crews, "REST_SECONDS", 0.0)
    again = Stage(database_settings, "handler/a")
    again.broken.add("handler/a")
    for _ in range(5):
        await again.crew.step()
        await asyncio.sleep(0)

    assert (1, 1) == (resting, len(stage.posts[Seat("relay", 0)]))
    assert len(again.posts[Seat("handler/a", 0)]) > 1
    assert await again.dismiss()


async def test_dismissed_it_finishes(alone: Stage) -> None:
    """Told to end, every post finishes, and says so."""
    finished = await alone.dismiss()

    assert (True, [["finished"], ["finished"]]) == (finished, [p[0].ended for p in alone.posts.values()])


async def test_what_does_not_finish_is_cancelled(database_settings: DatabaseSettings) -> None:
    """A post that takes longer than there is time is cancelled, so that it rolls back."""
    stage = Stage(database_settings, "relay", stubborn=True)
    await stage.crew.step()
    await asyncio.sleep(0)

    finished = await stage.dismiss(0.05)

    assert (False, ["cancelled"]) == (finished, stage.posts[Seat("relay", 0)][0].ended)


async def test_seats_are_offered_before_the_end(database_settings: DatabaseSettings) -> None:
    """A worker that is ending is not counted any more, while it still finishes."""
    ending, other = Stage(database_settings, "relay", stubborn=True), Stage(database_settings, "relay")
    await ending.crew.step()
    hurry: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    dismissing = asyncio.create_task(ending.crew.dismiss(within_seconds=PATIENCE, hurry=hurry))
    while not other.crew.seats:
        await other.crew.step()
    hurry.set_result(None)

    assert not await dismissing
    assert {Seat("relay", 0)} == other.crew.seats
    await other.dismiss()
