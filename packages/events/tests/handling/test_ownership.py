"""One process at a time gives a handler a partition's events; whoever has lost the right commits nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from asyncpg.pool import PoolConnectionProxy

from packages.events.tests.handling.conftest import COUNTER, Counted, Stage, entry, record
from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError, DatabaseRefusedError
from sherpa.db.transaction import Transaction
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.event import Received
from sherpa.events.handling.consumer import Consumer, sessions_of
from sherpa.events.handling.outcome import Outcome
from sherpa.events.handling.ownership import Ownership

HOLDERS = """
SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND datname = current_database() ORDER BY backend_start
"""


async def owner_of(stage: Stage, **changes: Any) -> Consumer:
    """Return a consumer that owns the partition and has nothing to do."""
    consumer = stage.consumer(**changes)
    await stage.drain(consumer)
    return consumer


def ownership_of(database: Database) -> Ownership:
    """Return the ownership of partition 0, which is not taken yet."""
    return Ownership(database, handler="counter", partition=0, lanes=2, longest_call_seconds=1)


def test_pooler_is_refused(database_settings: DatabaseSettings) -> None:
    """A pooler's sessions can't hold a right: whoever configures one is told what to do."""
    pooled = replace(database_settings, statement_cache_size=0)

    with pytest.raises(DatabaseRefusedError, match="PostgreSQL's own address"):
        ownership_of(Database(pooled, application_name="test"))


async def test_second_consumer_stands_by(stage: Stage) -> None:
    """While one owns the partition, another one gets nothing."""
    owner = await owner_of(stage)
    await stage.append(entry(1))

    outcomes = await stage.drain(stage.consumer())

    assert ([Outcome.STANDBY], [], True) == (outcomes, await stage.effects(), owner.is_owner)


async def test_left_partition_is_free_at_once(stage: Stage) -> None:
    """Whoever leaves gives the partition up then and there."""
    owner, other = await owner_of(stage), stage.consumer()
    await stage.append(entry(1))

    await owner.leave()
    await stage.drain(other)

    assert ([1], (False, True)) == (await stage.effects(), (owner.is_owner, other.is_owner))


async def test_each_lane_holds_the_lock(stage: Stage) -> None:
    """Every session in which an effect can be committed shares the lock."""
    await owner_of(stage, concurrency=3)

    holders = await stage.connection.fetch(HOLDERS)

    assert 3 == len(holders) == sessions_of(stage.consumers[0].handler)


@pytest.mark.parametrize("lane", [0, 1, 2])
async def test_nobody_takes_over_while_a_lane_lives(stage: Stage, lane: int) -> None:
    """As long as one session of the old owner's is left, it could commit: so there is no new owner."""
    owner, other = await owner_of(stage, concurrency=3), stage.consumer(concurrency=3)
    pids = [row["pid"] for row in await stage.connection.fetch(HOLDERS)]

    for pid in (pid for place, pid in enumerate(pids) if place != lane):
        await stage.connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    while_one_lives = await other.step()
    await stage.connection.execute("SELECT pg_terminate_backend($1, 5000)", pids[lane])
    after = await other.step()

    assert (Outcome.STANDBY, Outcome.TAKEN) == (while_one_lives, after)
    await asyncio.sleep(0)
    assert not owner.is_owner


async def test_old_owner_cant_commit_after_a_take_over(stage: Stage) -> None:
    """An owner that is held up in a handler, and loses its sessions meanwhile, commits nothing."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold_up(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        reached.set()
        await go_on.wait()

    event = entry(1)
    owner = await owner_of(stage, handle=hold_up)
    await stage.append(event)
    held_up = asyncio.create_task(owner.step())
    await reached.wait()
    for row in await stage.connection.fetch(HOLDERS):
        await stage.connection.execute("SELECT pg_terminate_backend($1, 5000)", row["pid"])

    await stage.drain(stage.consumer(handle=record))
    go_on.set()

    assert ([1], Outcome.DATABASE_AWAY) == (await stage.effects(), await held_up)
    assert Outcome.STANDBY is await owner.step()


async def test_fenced_owner_takes_its_role_again(stage: Stage) -> None:
    """An owner whose token is outdated, while its sessions live, gets a new one and goes on."""
    owner = await owner_of(stage)
    await stage.broker.take(0, "counter")
    await stage.append(entry(1))

    outcomes = await stage.drain(owner)

    assert ([Outcome.FENCED, Outcome.JOINED], [1]) == (outcomes[:2], await stage.effects())


async def test_fenced_owner_without_its_sessions_steps_down(stage: Stage) -> None:
    """One whose token was taken first looks whether its sessions live: else it must not take it back."""
    owner = await owner_of(stage)
    lane = owner._ownership.lanes[1]
    pid = lane.connection.get_server_pid()
    token = await stage.broker.take(0, "counter")
    disturbing = asyncio.create_task(lane.connection.execute("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)

    outcome = await owner.step()

    assert (Outcome.DATABASE_AWAY, False) == (outcome, owner.is_owner)
    assert [] == await stage.broker.read(0, "counter", "the next owner", token, count=1)
    await asyncio.gather(disturbing, return_exceptions=True)
    await stage.connection.execute("SELECT pg_terminate_backend($1, 60000)", pid)


async def test_lost_group_is_made_again_at_the_beginning(stage: Stage) -> None:
    """After FLUSHALL the group begins at 0: nothing that is appended meanwhile is passed over."""
    assert isinstance(stage.broker, MemoryBroker)
    event = entry(1)
    await stage.append(event)
    owner = await owner_of(stage)
    stage.broker.lose_everything()
    await stage.append(event, entry(2))

    await stage.drain(owner)

    assert [1, 2] == await stage.effects()


async def test_dead_consumers_names_are_reaped(stage: Stage) -> None:
    """The names of those who had the group before don't stay in it."""
    await stage.append(entry(1))
    for _ in range(3):
        owner = await owner_of(stage)
        await owner.leave()

    await owner_of(stage)
    await stage.append(entry(2))
    await stage.drain(stage.consumers[-1])

    assert [1] == [group.consumers for group in (await stage.broker.state(0)).groups]


async def test_stop_finishes_the_event_and_leaves_the_rest(stage: Stage) -> None:
    """Told to stop, it finishes what runs, acknowledges that, begins nothing, and the next owner goes on."""
    stop = asyncio.Event()

    async def stop_at_two(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if event.payload.number == 2:
            stop.set()

    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in range(1, 6)))

    await stage.consumer(handle=stop_at_two).run(stop)
    at_stop = (await stage.effects(), await stage.pending())
    await stage.drain(stage.consumer())

    assert (([1, 2], 3), [1, 2, 3, 4, 5]) == (at_stop, await stage.effects())
    assert ([], 0) == (await stage.failed("status"), await stage.pending())


async def test_cancelled_run_rolls_back_and_leaves(stage: Stage) -> None:
    """Cancelled in the middle of an event, it undoes that one, acknowledges the others, and is gone."""
    reached = asyncio.Event()

    async def hang_at_two(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if event.payload.number == 2:
            reached.set()
            await asyncio.Event().wait()

    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2)))
    run = asyncio.create_task(stage.consumer(handle=hang_at_two).run(asyncio.Event()))
    await reached.wait()

    run.cancel()
    await asyncio.gather(run, return_exceptions=True)

    assert ([1], 1) == (await stage.effects(), await stage.pending())
    assert [] == await stage.connection.fetch(HOLDERS)
    await stage.drain(stage.consumer())
    assert [1, 2] == await stage.effects()


async def test_run_serves_what_comes(stage: Stage) -> None:
    """A running consumer hears of new entries and of operators' decisions without being stepped."""
    done = asyncio.Event()

    async def tell(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        transaction.after_commit(done.set)

    stop = asyncio.Event()
    run = asyncio.create_task(stage.consumer(COUNTER, handle=tell).run(stop))

    await stage.append(entry(1))
    await asyncio.wait_for(done.wait(), 10)
    stop.set()
    await run

    assert ([1], 0) == (await stage.effects(), await stage.pending())


async def test_beats_keep_the_sessions(stage: Stage) -> None:
    """The server ends sessions that idle; those of an owner that beats are still there."""
    owner = await owner_of(stage)
    settings = await stage.connection.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )

    for _ in range(3):
        await asyncio.sleep(2)
        await owner.beat()

    assert (2, True) == (settings, owner.is_owner)


async def test_slow_handler_keeps_its_claim(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that takes far longer than a session may idle is called once, and nobody else is let in."""
    monkeypatch.setattr("sherpa.events.handling.ownership.IDLE_LIMIT_SECONDS", 2)
    monkeypatch.setattr("sherpa.events.handling.consumer.BEAT_SECONDS", 0.2)
    calls, done, stop = 0, asyncio.Event(), asyncio.Event()

    async def dawdle(transaction: Transaction, event: Received[Counted]) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(4)
        await record(transaction, event)
        done.set()

    owner, other = await owner_of(stage, handle=dawdle), stage.consumer()
    sessions = await stage.connection.fetch(HOLDERS)
    await stage.append(entry(1))
    running = asyncio.create_task(owner.run(stop))
    outcomes = set()
    async with asyncio.timeout(20):
        while not done.is_set():
            outcomes.add(await other.step())
            await asyncio.sleep(0.1)
    sessions_after = await stage.connection.fetch(HOLDERS)
    stop.set()
    await running

    assert ({Outcome.STANDBY}, sessions) == (outcomes, sessions_after)
    assert (1, [1]) == (calls, await stage.effects())


async def test_beats_keep_clear_of_a_take_over(stage: Stage) -> None:
    """Beats while the partition is being taken disturb no statement of that."""
    ownership = ownership_of(stage.database)
    taking = asyncio.create_task(ownership.take(lambda _: None))

    while not taking.done():
        await ownership.beat()
        await asyncio.sleep(0)

    assert await taking
    await ownership.give_up()


async def test_giving_up_waits_for_a_beat(stage: Stage) -> None:
    """A beat that is under way doesn't keep the sessions from being given back, nor does it fail."""
    ownership = ownership_of(stage.database)
    await ownership.take(lambda _: None)
    beating = asyncio.create_task(ownership.beat())
    await asyncio.sleep(0)

    await ownership.give_up()
    await beating

    assert [] == await stage.connection.fetch(HOLDERS)


async def test_beat_that_fails_ends_all_sessions(stage: Stage) -> None:
    """Whatever a beat fails by, nothing of the ownership is left, and it is told in one way."""
    ownership = ownership_of(stage.database)
    await ownership.take(lambda _: None)
    pid = ownership.lanes[0].connection.get_server_pid()
    disturbing = asyncio.create_task(ownership.lanes[0].connection.execute("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)

    with pytest.raises(ConnectionLostError):
        await ownership.beat()

    assert not ownership.is_held
    await asyncio.gather(disturbing, return_exceptions=True)
    await ownership.give_up()
    # The server notices only at the end of a statement that nobody waits for it.
    await stage.connection.execute("SELECT pg_terminate_backend($1, 60000)", pid)


async def test_session_without_beats_is_ended(stage: Stage) -> None:
    """A process that is paused loses its sessions within seconds, and another one takes over."""
    owner, other = await owner_of(stage), stage.consumer()

    await asyncio.sleep(5.5)

    assert (Outcome.TAKEN, False) == (await other.step(), owner.is_owner)


async def begin(connection: PoolConnectionProxy) -> None:
    """Be in a transaction."""
    await connection.execute("BEGIN")


async def parse(connection: PoolConnectionProxy) -> None:
    """Be in the middle of a statement: it is parsed, and was not run."""
    await connection.prepare("SELECT 42")


@pytest.mark.parametrize("is_paused_in", [begin, parse])
async def test_session_paused_at_work_is_ended(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    is_paused_in: Callable[[PoolConnectionProxy], Awaitable[None]],
) -> None:
    """A process that is paused while its handler runs loses that session, too, after the handler's time."""
    monkeypatch.setattr("sherpa.events.handling.ownership.IDLE_LIMIT_SECONDS", 1)
    paused, other = ownership_of(stage.database), ownership_of(stage.database)
    await paused.take(lambda _: None)
    await is_paused_in(paused.lanes[0].connection)

    await eventually(lambda: other.take(lambda _: None))

    assert other.is_held
    await paused.give_up()
    await other.give_up()
