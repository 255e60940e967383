"""Two releases side by side: what an older one makes of newer events, and what the newer one then does."""

from typing import Any, ClassVar
from uuid import uuid4

from packages.events.tests.handling.conftest import ADD_EFFECT, Counted, Stage, entry
from sherpa.db.transaction import Transaction
from sherpa.events.event import Payload, Received


class Recounted(Payload, frozen=True, kw_only=True):
    """A type that only the newer release's handler takes."""

    event_type: ClassVar[str] = "thing.recounted"
    aggregate_type: ClassVar[str] = "thing"
    number: int


class CountedInDozens(Payload, frozen=True, kw_only=True):
    """A version that only the newer release knows."""

    event_type: ClassVar[str] = "thing.counted"
    aggregate_type: ClassVar[str] = "thing"
    schema_version: ClassVar[int] = 2
    dozens: int


async def note(transaction: Transaction, event: Received[Any]) -> None:
    """Have the effect of an event of either version."""
    payload = event.payload
    number = payload.dozens * 12 if isinstance(payload, CountedInDozens) else payload.number
    await transaction.connection.execute(ADD_EFFECT, event.id, event.aggregate_id, "counter", number)


async def test_passed_over_by_the_older_release(stage: Stage) -> None:
    """A type that the handler takes only from now on is the newer one's once it is published again."""
    events = [entry(1), entry(2, type="thing.recounted")]
    older = stage.consumer()
    await stage.append(*events)
    await stage.drain(older)
    passed_over = await stage.effects()
    await older.leave()

    await stage.append(*events)
    await stage.drain(stage.consumer(takes=(Counted, Recounted)))

    assert ([1], [1, 2]) == (passed_over, await stage.effects())
    assert [] == await stage.failed("status")


async def test_unreadable_for_the_older_release(stage: Stage) -> None:
    """A newer version is a dead letter, behind which its aggregate waits; tried again, all follow."""
    aggregate = uuid4()
    newer_version = entry(aggregate_id=aggregate, schema_version="2", payload='{"dozens": 1}')
    older = stage.consumer()
    await stage.append(newer_version, entry(2, aggregate_id=aggregate))
    await stage.drain(older)
    left = await stage.failed("status")
    await older.leave()

    await stage.connection.execute(
        "UPDATE failed_events SET status = 'retrying', attempts = 0, next_attempt_at = now()"
        " WHERE status = 'dead'"
    )
    await stage.drain(stage.consumer(takes=(Counted, CountedInDozens), handle=note))

    assert [("dead",), ("waiting",)] == left
    assert ([12, 2], []) == (await stage.effects(), await stage.failed("status"))
