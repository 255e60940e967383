"""Entries that another process left pending: run one by one, in order, whoever they belong to."""

from uuid import uuid4

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.broker import Fields
from sherpa.events.event import Received
from sherpa.events.handling.handler import Backoff, OnFailure
from sherpa.events.handling.outcome import Outcome


async def leave_behind(stage: Stage, *entries: Fields) -> None:
    """Append the entries, and have them read by a process that never says anything again."""
    await stage.append(*entries)
    await stage.broker.ensure_group(0, "counter")
    token = await stage.broker.take(0, "counter")
    await stage.broker.read(0, "counter", "dead", token, count=len(entries))


@pytest.mark.parametrize("on_failure", OnFailure)
async def test_order_is_kept_into_what_is_new(stage: Stage, on_failure: OnFailure) -> None:
    """What was left comes first, then what is new of the aggregate, however the handler declares failures."""
    aggregate = uuid4()
    await leave_behind(stage, *(entry(number, aggregate_id=aggregate) for number in range(5)))
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in range(5, 10)))

    await stage.drain(stage.consumer(on_failure=on_failure, batch_size=3))

    assert (list(range(10)), [], 0) == (
        await stage.effects(),
        await stage.failed("status"),
        await stage.pending(),
    )


async def test_what_is_done_is_only_acknowledged(stage: Stage) -> None:
    """A process that died between COMMIT and acknowledgement has done the work: it isn't run again."""
    calls: list[int] = []

    async def call(transaction: Transaction, event: Received[Counted]) -> None:
        calls.append(event.payload.number)

    done = entry(1)
    await leave_behind(stage, done, entry(2))
    await stage.connection.execute("INSERT INTO processed_events VALUES ($1, 'counter')", done["id"])

    await stage.drain(stage.consumer(handle=call))

    assert ([2], 0) == (calls, await stage.pending())


async def test_ordinary_failure_among_them_is_tried_again(stage: Stage) -> None:
    """An event that only fails keeps its one death, and is retried as any other, like those behind it."""
    aggregate = uuid4()
    fail = iter([True])

    async def fail_once(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if next(fail, False):
            raise ValueError("once")

    await leave_behind(stage, *(entry(number, aggregate_id=aggregate) for number in (1, 2)))
    consumer = stage.consumer(handle=fail_once, backoff=Backoff(first_seconds=60))

    await stage.drain(consumer)
    failed = await stage.failed("status", "attempts", "deaths")
    await stage.be_due()
    await stage.drain(consumer)

    assert [("retrying", 1, 1), ("waiting", 0, 1)] == failed
    assert ([1, 2], []) == (await stage.effects(), await stage.failed("status"))


async def test_lost_session_while_running_them_is_no_death(stage: Stage) -> None:
    """A run that the session's end broke off is not held against the event: the process lives on."""
    lose = iter([True])

    async def lose_session(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if next(lose, False):
            pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
            await stage.connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        elif event.payload.number == 1:
            deaths.extend(await stage.failed("deaths"))

    deaths: list[tuple[object, ...]] = []
    await leave_behind(stage, entry(1))

    outcomes = await stage.drain(stage.consumer(handle=lose_session))

    assert Outcome.DATABASE_AWAY in outcomes
    assert ([1], [(2,)]) == (await stage.effects(), deaths)  # its first death, and the run under way


BREAK_OFF = """
CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE SQLSTATE '08006'; END$$;
CREATE TRIGGER break_off BEFORE UPDATE ON failed_events
    FOR EACH ROW WHEN (new.attempts > 1) EXECUTE FUNCTION break_off()
"""


async def test_failure_that_is_not_recorded_is_no_death(stage: Stage) -> None:
    """Where PostgreSQL goes away under the record of a failed run, nothing is held against the event."""
    await stage.append(entry(1))
    consumer = stage.consumer(handle=fail, backoff=Backoff(first_seconds=60))
    await stage.drain(consumer)
    await stage.be_due()
    await stage.connection.execute(BREAK_OFF)

    broken_off = await consumer.step()
    await stage.connection.execute("DROP TRIGGER break_off ON failed_events")
    deaths = await stage.failed("deaths")
    taken = await consumer.step()

    assert ([Outcome.DATABASE_AWAY, Outcome.TAKEN], [(1,)]) == ([broken_off, taken], deaths)
    assert [("retrying", 1, 0)] == await stage.failed("status", "attempts", "deaths")


async def test_retries_stay_in_their_partition(stage: Stage) -> None:
    """Of two owners each runs what failed in its own partition, and nothing of the other's."""
    calls: list[int] = []

    async def call(transaction: Transaction, event: Received[Counted]) -> None:
        calls.append(event.payload.number)

    entries = [entry(number) for number in range(20)]
    await stage.append(*entries)
    await stage.drain(stage.consumer(handle=fail, backoff=Backoff(first_seconds=60)))
    await stage.consumers[0].leave()
    await stage.be_due()
    partitions = await stage.connection.fetch(
        "SELECT (uuid_hash(aggregate_id)::bigint & 2147483647) % 2 AS partition,"
        " ((entry ->> 'payload')::jsonb ->> 'number')::int AS number FROM failed_events"
    )

    await stage.drain(stage.consumer(handle=call, partition=1, partitions=2))

    assert sorted(row["number"] for row in partitions if row["partition"] == 1) == sorted(calls)
    assert 0 < len(calls) < 20


async def fail(transaction: Transaction, event: Received[Counted]) -> None:
    """Fail."""
    raise ValueError("no")
