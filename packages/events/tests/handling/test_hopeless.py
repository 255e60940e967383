"""A handler can say that trying again won't help: the event is a dead letter after that one attempt."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record, record_set
from packages.events.tests.handling.test_unreadable import NO_CONCURRENCY
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.errors import PermanentError
from sherpa.events.handling.handler import Backoff, Kind, OnFailure

WHY = "no number may be two"


class NeverError(PermanentError):
    """A handler's own word for it."""


async def refuse_two(transaction: Transaction, event: Received[Counted]) -> None:
    """Have the effect, and refuse number 2 for ever."""
    await record(transaction, event)
    if event.payload.number == 2:
        raise NeverError(WHY) from ValueError("because")


async def refuse_two_of_a_set(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    """Do so for many events."""
    await record_set(transaction, events)
    if any(event.payload.number == 2 for event in events):
        raise NeverError(WHY) from ValueError("because")


HANDLES: dict[Kind, Callable[..., Awaitable[None]]] = {
    Kind.EACH: refuse_two,
    Kind.BATCH: refuse_two,
    Kind.SET: refuse_two_of_a_set,
}


def dead_lettered(stage: Stage) -> float | None:
    """Return how many dead letters are counted."""
    return stage.metrics.registry.get_sample_value(
        "sherpa_events_dead_lettered_total", {"handler": "counter"}
    )


@pytest.mark.parametrize("kind", HANDLES)
@pytest.mark.parametrize(
    ("on_failure", "done", "kept"),
    [
        (OnFailure.BLOCK, [1, 9], [("dead", 1, True), ("waiting", 0, None)]),
        (OnFailure.SKIP, [1, 3, 9], [("dead", 1, True)]),
    ],
)
async def test_permanent_error_ends_it_at_once(
    stage: Stage, kind: Kind, on_failure: OnFailure, done: list[int], kept: list[tuple[object, ...]]
) -> None:
    """One attempt, undone; error, cause and traceback are kept, and others do as after any dead letter."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2, 3)), entry(9))

    await stage.drain(
        stage.consumer(kind=kind, handle=HANDLES[kind], on_failure=on_failure, concurrency=NO_CONCURRENCY)
    )

    assert (done, 0, 1) == (sorted(await stage.effects()), await stage.pending(), dead_lettered(stage))
    shown = f"error LIKE '%NeverError: {WHY}' AND traceback LIKE '%ValueError: because%raise NeverError%'"
    assert kept == await stage.failed("status", "attempts", shown)


@pytest.mark.parametrize("on_failure", OnFailure)
async def test_permanent_error_ends_the_retries(stage: Stage, on_failure: OnFailure) -> None:
    """In a retry, too, it is the last attempt; the count tells of those before it."""
    errors = iter([ValueError("passing"), PermanentError("for ever")])

    async def fail(transaction: Transaction, event: Received[Counted]) -> None:
        raise next(errors)

    await stage.append(entry(1))
    consumer = stage.consumer(handle=fail, on_failure=on_failure, backoff=Backoff(first_seconds=60))
    await stage.drain(consumer)
    before = await stage.failed("status", "attempts")

    await stage.be_due()
    await stage.drain(consumer)

    assert [("retrying", 1)] == before
    assert [("dead", 2, 0, None, "sherpa.events.handling.errors.PermanentError: for ever")] == (
        await stage.failed("status", "attempts", "deaths", "next_attempt_at", "error")
    )
    assert 1 == dead_lettered(stage)


async def test_operators_retry_runs_it_again(stage: Stage) -> None:
    """What was hopeless to one release may be done by the next: an operator may try it again."""
    errors = iter([PermanentError()])

    async def fail_once(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if error := next(errors, None):
            raise error

    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in (1, 2)))
    consumer = stage.consumer(handle=fail_once)
    await stage.drain(consumer)
    before = await stage.effects()

    await stage.connection.execute(
        "UPDATE failed_events SET status = 'retrying', attempts = 0 WHERE status = 'dead'"
    )
    await stage.be_due()
    await stage.drain(consumer)

    assert ([], [1, 2], []) == (before, await stage.effects(), await stage.failed("status"))
