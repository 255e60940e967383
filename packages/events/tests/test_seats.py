"""Sharing the work: everybody sits, nobody too much, and everyone computes the same."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from operator import attrgetter

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherpa.config import DatabaseSettings
from sherpa.events.seats import Roster, Seat, role_number, share_out

WORKERS = st.integers(1, 2**22)
CANDIDATES = st.dictionaries(st.integers(0, 2**32 - 1), st.frozensets(WORKERS, min_size=1, max_size=6))


@asynccontextmanager
async def at_work(settings: DatabaseSettings, *roles: str, partitions: int = 1) -> AsyncIterator[Roster]:
    """A worker with these roles, announced, which leaves in the end."""
    roster = Roster(settings, roles, partitions=partitions)
    try:
        await roster.look()
        yield roster
    finally:
        roster.leave()


@given(CANDIDATES, st.integers(1, 16))
def test_every_place_goes_to_one_who_can(candidates: dict[int, frozenset[int]], partitions: int) -> None:
    """Each partition of each role is given to exactly one of those who can play the role."""
    assigned = share_out(candidates, partitions)

    assert {(role, number) for role in candidates for number in range(partitions)} == assigned.keys()
    assert all(worker in candidates[role] for (role, _), worker in assigned.items())


@given(st.frozensets(st.integers(0, 99), min_size=1), st.frozensets(WORKERS, min_size=1), st.integers(1, 16))
def test_nobody_has_more_than_a_fair_share(
    roles: frozenset[int], workers: frozenset[int], partitions: int
) -> None:
    """Where all can do everything, nobody has more than seats ÷ workers, rounded up."""
    assigned = share_out(dict.fromkeys(roles, workers), partitions)

    assert max(Counter(assigned.values()).values()) <= ceil(len(roles) * partitions / len(workers))


def test_the_order_of_the_facts_is_nothing_to_the_answer() -> None:
    """Two workers that read the same locks in another order come to the same answer."""
    here = {7: [1, 2, 3], 8: [2, 3]}
    there = {8: [3, 2], 7: [3, 1, 2]}

    assert share_out(here, 8) == share_out(there, 8)


def test_who_leaves_moves_hardly_more_than_his_seats() -> None:
    """Of 64 seats among 4 workers, those of a worker who leaves move, and few others."""
    roles = range(4)
    before = share_out(dict.fromkeys(roles, (1, 2, 3, 4)), 16)

    after = share_out(dict.fromkeys(roles, (1, 2, 3)), 16)

    moved = [place for place, worker in before.items() if worker != 4 and after[place] != worker]
    assert len(moved) <= 16


def test_nobody_at_work_is_no_error() -> None:
    """Without candidates there are no seats."""
    assert {} == share_out({}, 4)


async def test_who_divides_otherwise_shares_nothing(database_settings: DatabaseSettings) -> None:
    """Workers with another number of partitions would count otherwise: each want all, and no seat is lost."""
    async with (
        at_work(database_settings, "a", "b", partitions=1) as one,
        at_work(database_settings, "a", "b", partitions=2) as two,
    ):
        seats = [await one.look(), await two.look()]

    assert [[("a", 0), ("b", 0)], [("a", 0), ("a", 1), ("b", 0), ("b", 1)]] == [
        sorted((seat.role, seat.partition) for seat in mine) for mine in seats
    ]


async def test_a_role_that_is_offered_no_more_goes_to_others(database_settings: DatabaseSettings) -> None:
    """A worker that can't play a role any more leaves its seats to one that can, and shares the rest."""
    async with (
        at_work(database_settings, "relay", "a", partitions=2) as unable,
        at_work(database_settings, "relay", "a", partitions=2) as able,
    ):
        unable.play(["a"])
        some = [await _settled(unable, 2), await _settled(able, 2)]
        unable.play([])
        none = [await unable.look(), await _settled(able, 4)]

    assert {Seat("a", 0), Seat("a", 1)} == some[0]
    assert {Seat("relay", 0), Seat("relay", 1)} == some[1]
    assert [0, 4] == [len(seats) for seats in none]


@pytest.mark.parametrize("roles", [{"a", "relay"}, {"a"}, {"relay", "b"}])
async def test_offering_other_roles_keeps_the_session(
    database_settings: DatabaseSettings, connection: asyncpg.Connection, roles: set[str]
) -> None:
    """Whatever a worker offers, it is the same one all the while: no seats move but those of these roles."""
    sessions = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'sherpa-worker' AND datname = current_database()"
    )
    async with at_work(database_settings, "relay", "a") as worker:
        before = await connection.fetch(sessions)
        worker.play(roles)
        seats = await worker.look()

        after = await connection.fetch(sessions)

    assert (1, before) == (len(before), after)
    assert roles == {seat.role for seat in seats}


async def test_one_worker_takes_everything(database_settings: DatabaseSettings) -> None:
    """A worker that is alone has all seats of its roles."""
    async with at_work(database_settings, "relay", "handler/welcome", partitions=2) as worker:
        seats = await worker.look()

    assert {Seat(role, number) for role in ("relay", "handler/welcome") for number in (0, 1)} == seats


async def test_two_workers_share(database_settings: DatabaseSettings) -> None:
    """Two workers have half of the seats each, none twice, none left over."""
    async with (
        at_work(database_settings, "relay", "handler/a", partitions=3) as one,
        at_work(database_settings, "relay", "handler/a", partitions=3) as two,
    ):
        first, second = await one.look(), await two.look()

    assert (3, 3, 6, 2) == (len(first), len(second), len(first | second), one.workers)


async def test_a_role_that_one_can_play_is_his(database_settings: DatabaseSettings) -> None:
    """A seat that nobody else can take is given to the worker that can, whatever else it has."""
    async with (
        at_work(database_settings, "relay", "handler/a", "handler/b") as able,
        at_work(database_settings, "handler/a") as other,
    ):
        assert {Seat("relay", 0), Seat("handler/b", 0)} == await able.look()
        assert {Seat("handler/a", 0)} == await other.look()


async def test_who_is_gone_is_not_counted(database_settings: DatabaseSettings) -> None:
    """When a worker's session ends, in whatever way, the others have its seats with their next look."""
    async with at_work(database_settings, "relay", "handler/a") as stays:
        async with at_work(database_settings, "relay", "handler/a"):
            shared = await stays.look()
        alone = await _settled(stays, 2)

    assert (1, 2) == (len(shared), len(alone))


async def _settled(roster: Roster, seats: int) -> frozenset[Seat]:
    """Look until the server has noticed that a client went away."""
    while len(found := await roster.look()) != seats:
        pass
    return found


async def test_a_lost_session_is_announced_anew(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """A look that finds its session ended raises; the next one announces the worker again."""
    async with at_work(database_settings, "relay") as worker:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'sherpa-worker' AND datname = current_database()"
        )
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await worker.look()

        assert {Seat("relay", 0)} == await worker.look()


def test_role_numbers_fit_and_differ() -> None:
    """A role's number has 32 bits and is another for another role."""
    numbers = {role_number(f"handler/{name}") for name in range(200)}

    assert (200, True) == (len(numbers), all(0 <= number < 1 << 32 for number in numbers))


async def test_worker_paused_in_mid_statement_counts_no_longer(database_settings: DatabaseSettings) -> None:
    """One that has a statement parsed and never runs it is idle to no timeout; the others end its session."""
    async with at_work(database_settings, "relay") as paused, at_work(database_settings, "relay") as other:
        await attrgetter("_session")(paused).prepare("SELECT 42")

        async with asyncio.timeout(20):
            while await other.look() != {Seat("relay", 0)} or other.workers != 1:  # noqa: ASYNC110 - servers tell nobody
                await asyncio.sleep(0.2)
