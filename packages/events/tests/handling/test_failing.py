"""A failed event is kept, tried again in its time, and given up after its last attempt."""

from uuid import uuid4

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.handler import Backoff, Kind, OnFailure

KINDS = (Kind.EACH, Kind.BATCH)


class Moody:
    """A handler that has its effect and then fails on some numbers, so many times."""

    def __init__(self, **times: int) -> None:
        self.left = {int(name.removeprefix("on_")): count for name, count in times.items()}
        self.calls: list[int] = []

    async def __call__(self, transaction: Transaction, event: Received[Counted]) -> None:
        """Fail after the effect: it must be undone."""
        number = event.payload.number
        self.calls.append(number)
        await record(transaction, event)
        if self.left.get(number, 0):
            self.left[number] -= 1
            raise ValueError(f"not {number}")


async def test_failure_is_recorded_and_acknowledged(stage: Stage) -> None:
    """What failed is in failed_events with its error, no longer in the stream's hands, and has no effect."""
    await stage.append(entry(7))

    await stage.drain(stage.consumer(handle=Moody(on_7=99), backoff=Backoff(first_seconds=60)))

    assert [("retrying", 1, 0, "ValueError: not 7")] == await stage.failed(
        "status", "attempts", "deaths", "error"
    )
    assert [(True, True, True)] == await stage.failed(
        "traceback LIKE '%raise ValueError%'", "first_failed_at = last_failed_at", "next_attempt_at > now()"
    )
    assert ([], 0) == (await stage.effects(), await stage.pending())


async def test_retry_succeeds_and_leaves_nothing(stage: Stage) -> None:
    """An event that succeeds at a later attempt has its effect once, and its failure is forgotten."""
    moody = Moody(on_7=2)
    await stage.append(entry(7))

    await stage.drain(stage.consumer(handle=moody))

    assert ([7], [], [7, 7, 7]) == (await stage.effects(), await stage.failed("status"), moody.calls)


async def test_event_is_dead_after_its_last_attempt(stage: Stage) -> None:
    """After `attempts` failures the event is dead, and runs no more by itself."""
    moody = Moody(on_7=99)
    await stage.append(entry(7))
    consumer = stage.consumer(handle=moody, attempts=3)

    await stage.drain(consumer)
    await stage.be_due()
    await stage.drain(consumer)

    assert [("dead", 3, None)] == await stage.failed("status", "attempts", "next_attempt_at")
    assert [7, 7, 7] == moody.calls
    assert 1 == stage.metrics.registry.get_sample_value(
        "sherpa_events_dead_lettered_total", {"handler": "counter"}
    )


async def test_dead_letter_tells_first_and_last_time(stage: Stage) -> None:
    """The first failure's time stays, the last one's moves on."""
    await stage.append(entry(1))

    await stage.drain(stage.consumer(handle=Moody(on_1=99), attempts=3))

    assert [("dead", True)] == await stage.failed("status", "first_failed_at < last_failed_at")


async def test_nothing_is_tried_before_its_time(stage: Stage) -> None:
    """A retry waits for its backoff, and the consumer knows for how long."""
    moody = Moody(on_7=1)
    await stage.append(entry(7))
    consumer = stage.consumer(handle=moody, backoff=Backoff(first_seconds=60))

    await stage.drain(consumer)
    await stage.drain(consumer)

    assert [7] == moody.calls


async def test_operators_retry_is_heard(stage: Stage) -> None:
    """A dead event that an operator sends again runs, without a new ownership."""
    moody = Moody(on_7=1)
    await stage.append(entry(7))
    consumer = stage.consumer(handle=moody, attempts=1)
    await stage.drain(consumer)

    await stage.connection.execute("UPDATE failed_events SET status = 'retrying', attempts = 0")
    await stage.be_due()
    await stage.drain(consumer)

    assert ([7], []) == (await stage.effects(), await stage.failed("status"))


@pytest.mark.parametrize("kind", KINDS)
async def test_later_events_of_the_aggregate_wait(stage: Stage, kind: Kind) -> None:
    """Under "block", what comes after a failed event of its aggregate waits; others go on."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2, 3)), entry(9))
    consumer = stage.consumer(
        kind=kind, handle=Moody(on_2=99), backoff=Backoff(first_seconds=60), concurrency=4
    )
    await stage.drain(consumer)
    await stage.append(entry(4, aggregate_id=aggregate))

    await stage.drain(consumer)

    assert [1, 9] == sorted(await stage.effects())
    assert [("2", "retrying"), ("3", "waiting"), ("4", "waiting")] == await stage.failed(
        "(entry ->> 'payload')::jsonb ->> 'number'", "status"
    )


async def test_chain_runs_in_order_when_its_head_succeeds(stage: Stage) -> None:
    """A retry that succeeds lets those behind it run, in the stream's order, and then what is new."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in range(1, 6)))
    consumer = stage.consumer(handle=Moody(on_2=1, on_4=1), backoff=Backoff(first_seconds=60))
    await stage.drain(consumer)

    for _ in range(2):
        await stage.be_due()
        await stage.drain(consumer)
    await stage.append(entry(6, aggregate_id=aggregate))
    await stage.drain(consumer)

    assert ([1, 2, 3, 4, 5, 6], []) == (await stage.effects(), await stage.failed("status"))


@pytest.mark.parametrize("batch_size", [1, 100])
async def test_later_events_follow_at_once(stage: Stage, batch_size: int) -> None:
    """Under "skip", later events of the aggregate don't wait, and the failed one comes when it can."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2, 3)))
    consumer = stage.consumer(
        handle=Moody(on_2=1),
        on_failure=OnFailure.SKIP,
        backoff=Backoff(first_seconds=60),
        batch_size=batch_size,
    )
    await stage.drain(consumer)

    await stage.be_due()
    await stage.drain(consumer)

    assert [1, 3, 2] == await stage.effects()


@pytest.mark.parametrize("batch_size", [1, 100])
async def test_later_events_follow_a_dead_one(stage: Stage, batch_size: int) -> None:
    """Under "skip", an event that was given up holds nobody."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2, 3)))

    await stage.drain(
        stage.consumer(handle=Moody(on_2=1), on_failure=OnFailure.SKIP, attempts=1, batch_size=batch_size)
    )

    assert ([1, 3], [("dead",)]) == (await stage.effects(), await stage.failed("status"))


async def test_dead_event_blocks_until_it_is_discarded(stage: Stage) -> None:
    """Under "block" a dead event holds its aggregate; discarded by an operator, those behind it run."""
    aggregate = uuid4()
    first = entry(1, aggregate_id=aggregate)
    await stage.append(first, entry(2, aggregate_id=aggregate), entry(3, aggregate_id=aggregate))
    consumer = stage.consumer(handle=Moody(on_1=99), attempts=2)
    await stage.drain(consumer)
    before = await stage.effects()

    await stage.discard(first["id"])
    await stage.be_due()
    await stage.drain(consumer)

    assert ([], [2, 3]) == (before, await stage.effects())


async def test_dead_event_retried_by_an_operator_releases_the_chain(stage: Stage) -> None:
    """Once the dead event succeeds, those behind it follow in order."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2, 3)))
    consumer = stage.consumer(handle=Moody(on_1=1), attempts=1)
    await stage.drain(consumer)

    await stage.connection.execute("UPDATE failed_events SET status = 'retrying' WHERE status = 'dead'")
    await stage.be_due()
    await stage.drain(consumer)

    assert ([1, 2, 3], []) == (await stage.effects(), await stage.failed("status"))


async def test_replayed_failure_is_only_acknowledged(stage: Stage) -> None:
    """An event that has failed and comes again in the stream stays as it is: its attempts are its own."""
    event = entry(7)
    moody = Moody(on_7=99)
    await stage.append(event)
    consumer = stage.consumer(handle=moody, backoff=Backoff(first_seconds=60))
    await stage.drain(consumer)
    await stage.append(event)

    await stage.drain(consumer)

    assert ([7], [("retrying", 1)], 0) == (
        moody.calls,
        await stage.failed("status", "attempts"),
        await stage.pending(),
    )


async def test_error_that_the_database_cant_hold_is_recorded(stage: Stage) -> None:
    """NUL, half a surrogate pair and a megabyte of text in an error don't keep the event from being kept."""

    async def fail(transaction: Transaction, event: Received[Counted]) -> None:
        raise ValueError("nul \0 half \ud800 " + "long " * 200_000)

    await stage.append(entry(7))

    await stage.drain(stage.consumer(handle=fail, attempts=1))

    assert [("dead", True)] == await stage.failed("status", "length(error) <= 2000")


async def test_error_that_cant_be_printed_is_recorded(stage: Stage) -> None:
    """An error whose own text fails is recorded all the same."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def fail(transaction: Transaction, event: Received[Counted]) -> None:
        raise UnprintableError

    await stage.append(entry(7))

    await stage.drain(stage.consumer(handle=fail, attempts=1))

    assert [("dead", True)] == await stage.failed("status", "error LIKE '%UnprintableError%'")
