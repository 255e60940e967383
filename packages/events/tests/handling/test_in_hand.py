"""Entries that are pending to a consumer that lives: they are worked off as they are, before anything new."""

from collections.abc import Sequence
from typing import Any

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.broker import Entry
from sherpa.events.errors import BrokerUnavailableError
from sherpa.events.event import Received
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
