"""Many events in one transaction, called for each or for all: redone one by one where that fails."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record, record_set
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Kind

HANDLES: dict[Kind, Callable[..., Awaitable[None]]] = {Kind.BATCH: record, Kind.SET: record_set}


def consumer_of(stage: Stage, kind: Kind, **changes: Any) -> Consumer:
    """Return a consumer of that kind, with the handle that suits it."""
    return stage.consumer(kind=kind, concurrency=4, **({"handle": HANDLES[kind]} | changes))


@pytest.mark.parametrize("kind", HANDLES)
async def test_batch_is_one_transaction(stage: Stage, kind: Kind) -> None:
    """All events of a batch commit together."""
    await stage.append(*(entry(number) for number in range(10)))

    await stage.drain(consumer_of(stage, kind))

    assert list(range(10)) == await stage.effects()
    assert 1 == await stage.connection.fetchval("SELECT count(DISTINCT xmin::text) FROM effects")


@pytest.mark.parametrize("kind", HANDLES)
async def test_repeated_events_are_left_out(stage: Stage, kind: Kind) -> None:
    """What is done, or comes twice in a batch, is not given to the handler again."""
    first, second = entry(1), entry(2)
    await stage.append(first)
    consumer = consumer_of(stage, kind)
    await stage.drain(consumer)
    await stage.append(second, first, second)

    await stage.drain(consumer)

    assert ([1, 2], 0) == (await stage.effects(), await stage.pending())


async def test_set_of_known_events_is_no_call(stage: Stage) -> None:
    """A set-based handler is never called with nothing."""
    sizes: list[int] = []

    async def measure(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
        sizes.append(len(events))

    event = entry(1)
    await stage.append(event)
    consumer = consumer_of(stage, Kind.SET, handle=measure)
    await stage.drain(consumer)
    await stage.append(event)

    await stage.drain(consumer)

    assert [1] == sizes


@pytest.mark.parametrize("kind", HANDLES)
async def test_failing_event_is_found_and_the_others_are_done(stage: Stage, kind: Kind) -> None:
    """One event that breaks the batch is recorded alone; each of the others has its effect once, in order."""
    aggregate = uuid4()
    await stage.connection.execute("ALTER TABLE effects ADD CONSTRAINT not_five CHECK (number <> 5)")
    await stage.append(
        *(entry(number, aggregate_id=aggregate if number == 6 else uuid4()) for number in range(10))
    )

    await stage.drain(consumer_of(stage, kind, attempts=1))

    assert [0, 1, 2, 3, 4, 6, 7, 8, 9] == await stage.effects()
    assert [("dead", "5")] == await stage.failed("status", "(entry ->> 'payload')::jsonb ->> 'number'")
    assert 0 == await stage.pending()


@pytest.mark.parametrize("kind", HANDLES)
async def test_waiting_events_come_after_the_failed_one(stage: Stage, kind: Kind) -> None:
    """When the failing event's cause is mended, it and those behind it are done in the stream's order."""
    aggregate = uuid4()
    await stage.connection.execute("ALTER TABLE effects ADD CONSTRAINT not_one CHECK (number <> 1)")
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in range(4)))
    consumer = consumer_of(stage, kind, attempts=1)
    await stage.drain(consumer)
    before = await stage.effects()

    await stage.connection.execute("ALTER TABLE effects DROP CONSTRAINT not_one")
    await stage.connection.execute("UPDATE failed_events SET status = 'retrying' WHERE status = 'dead'")
    await stage.be_due()
    await stage.drain(consumer)

    assert ([0], [0, 1, 2, 3]) == (before, await stage.effects())
