"""One event, one transaction: its effect is there once, however often the event is delivered."""

from uuid import uuid4

import pytest

from packages.events.tests.handling.conftest import ADD_EFFECT, Counted, Stage, entry
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.outcome import Outcome


async def test_event_has_its_effect(stage: Stage) -> None:
    """An event in the stream comes to its effect, and nothing stays pending."""
    await stage.append(entry(7))

    outcomes = await stage.drain(stage.consumer())

    assert ([7], 0) == (await stage.effects(), await stage.pending())
    assert (Outcome.TAKEN, [Outcome.WORKED, Outcome.IDLE]) == (outcomes[0], outcomes[-2:])


async def test_aggregates_events_stay_in_order(stage: Stage) -> None:
    """Events of one aggregate have their effects in the stream's order, several batches long."""
    aggregate = uuid4()
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in range(50)))

    await stage.drain(stage.consumer(batch_size=8))

    assert list(range(50)) == await stage.effects()


async def test_repeated_entry_has_no_second_effect(stage: Stage) -> None:
    """The same event again, in one batch or in a later one, changes nothing and is acknowledged."""
    event = entry(7)
    await stage.append(event, event)
    consumer = stage.consumer()
    await stage.drain(consumer)
    await stage.append(event)

    await stage.drain(consumer)

    assert ([7], 0) == (await stage.effects(), await stage.pending())
    assert 2 == stage.metrics.registry.get_sample_value(
        "sherpa_events_duplicates_total", {"handler": "counter"}
    )


async def test_two_handlers_of_an_event_both_run(stage: Stage) -> None:
    """What one handler has done is nothing to the other one."""

    async def record_other(transaction: Transaction, event: Received[Counted]) -> None:
        await transaction.connection.execute(ADD_EFFECT, event.id, event.aggregate_id, "other", 1)

    await stage.append(entry(7))

    await stage.drain(stage.consumer())
    await stage.drain(stage.consumer(name="other", handle=record_other))

    assert ([7], [1]) == (await stage.effects(), await stage.effects("other"))


async def test_other_types_are_acknowledged(stage: Stage) -> None:
    """An event of a type that the handler doesn't take leaves no trace, whatever is in it."""
    await stage.append(entry(1, type="thing.lost", payload="{"), entry(2))

    await stage.drain(stage.consumer())

    assert ([2], 0, []) == (await stage.effects(), await stage.pending(), await stage.failed("status"))


@pytest.mark.parametrize("batch_size", [1, 100])
async def test_every_aggregate_is_served(stage: Stage, batch_size: int) -> None:
    """Whatever lanes their aggregates belong to, all events have their effect."""
    await stage.append(*(entry(number) for number in range(40)))

    await stage.drain(stage.consumer(batch_size=batch_size, concurrency=4))

    assert list(range(40)) == sorted(await stage.effects())


async def test_new_handler_gets_what_is_in_the_stream(stage: Stage) -> None:
    """A handler that comes later begins at the stream's beginning."""
    await stage.append(entry(1))
    await stage.drain(stage.consumer())

    async def record_late(transaction: Transaction, event: Received[Counted]) -> None:
        await transaction.connection.execute(
            ADD_EFFECT, event.id, event.aggregate_id, "late", event.payload.number
        )

    await stage.drain(stage.consumer(name="late", handle=record_late))

    assert [1] == await stage.effects("late")
