"""A broker that comes and goes under a consumer that lives: nothing is passed over, or done twice."""

from collections.abc import Sequence
from typing import Any

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record
from sherpa.db.transaction import Transaction
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.broker import Entry
from sherpa.events.errors import BrokerUnavailableError
from sherpa.events.event import Received
from sherpa.events.handling.handler import Backoff
from sherpa.events.handling.outcome import Outcome


async def test_what_a_lost_reply_held_is_handled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that the broker has given us, and whose reply never came, are pending: they are asked for."""
    owner = stage.consumer()
    await stage.drain(owner)
    await stage.append(entry(1))
    read = stage.broker.read

    async def lose_the_reply(*arguments: Any, **options: Any) -> Sequence[Entry]:
        await read(*arguments, **options)
        raise BrokerUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(stage.broker, "read", lose_the_reply)
        outcome = await owner.step()
    await stage.drain(owner)

    assert (Outcome.BROKER_AWAY, [1], 0) == (outcome, await stage.effects(), await stage.pending())


async def test_acknowledgement_that_failed_is_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is told again, and not run again; what the broker has heard is kept in mind no longer."""
    owner = stage.consumer()
    await stage.drain(owner)
    await stage.append(entry(1))

    async def fail(*_: Any) -> None:
        raise BrokerUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(stage.broker, "acknowledge", fail)
        outcome = await owner.step()
    pending = await stage.pending()
    await stage.drain(owner)

    duplicates = stage.metrics.registry.get_sample_value(
        "sherpa_events_duplicates_total", {"handler": "counter"}
    )
    assert (Outcome.BROKER_AWAY, 1) == (outcome, pending)
    assert ([1], 0, 0) == (await stage.effects(), await stage.pending(), duplicates)
    assert not owner._subscription._in_hand


async def test_what_is_due_needs_no_broker(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed before is tried again in its time, also while the broker is away."""
    failures = [ValueError("once")]

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        if failures:
            raise failures.pop()
        await record(transaction, event)

    owner = stage.consumer(handle=handle, backoff=Backoff(first_seconds=60.0, most_seconds=60.0))
    await stage.append(entry(1))
    await stage.drain(owner)

    async def fail(*_: Any, **__: Any) -> None:
        raise BrokerUnavailableError("away")

    async def handled() -> list[int]:
        outcomes.append(await owner.step())
        return await stage.effects()

    with monkeypatch.context() as patch:
        for name in ("read", "claim"):
            patch.setattr(stage.broker, name, fail)
        outcomes = [await owner.step()]
        await stage.be_due()
        await eventually(handled, [1])

    assert {Outcome.BROKER_AWAY} == set(outcomes)


async def test_what_an_unexpected_failure_left_comes_first(stage: Stage) -> None:
    """Nobody died of them, so they need no care: they are not parked, and run in their turn."""
    parked: list[int] = []

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        parked.append(await stage.connection.fetchval("SELECT count(*) FROM failed_events"))
        await record(transaction, event)

    owner = stage.consumer(handle=handle)
    await stage.drain(owner)
    await stage.append(entry(1))
    await stage.connection.execute("ALTER TABLE failed_events RENAME TO away")
    with pytest.raises(Exception, match="failed_events"):
        await owner.step()
    pending = await stage.pending()

    await stage.connection.execute("ALTER TABLE away RENAME TO failed_events")
    await stage.append(entry(2))
    await stage.drain(owner)

    assert (1, 0) == (pending, await stage.pending())
    assert ([1, 2], [0, 0]) == (await stage.effects(), parked)
