"""A server that can't write: no event is to blame, so none fails of it."""

import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.handler import Kind
from sherpa.events.handling.outcome import Outcome


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
@pytest.mark.parametrize("state", ["53100", "58030"])
async def test_full_disk_is_no_attempt(stage: Stage, kind: Kind, state: str) -> None:
    """While the server's disk is full or fails, the event waits as it is, and is done when there is room."""
    is_full = True

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        if is_full:
            await transaction.connection.execute(
                f"DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '{state}'; END $$"
            )

    consumer = stage.consumer(handle=handle, kind=kind, attempts=1)
    await stage.append(entry(1))

    outcomes = [await consumer.step() for _ in range(10)]
    failed = await stage.failed("status")
    is_full = False
    await stage.drain(consumer)

    assert Outcome.DATABASE_AWAY in outcomes
    assert [] == failed == await stage.failed("status")
    assert 0 == await stage.pending()


async def test_lack_of_memory_is_an_attempt(stage: Stage) -> None:
    """A handler whose statement takes all memory fails as by any other error: it may do so for ever."""

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        await transaction.connection.execute(
            "DO $$ BEGIN RAISE 'out of memory' USING ERRCODE = '53200'; END $$"
        )

    consumer = stage.consumer(handle=handle, attempts=1)
    await stage.append(entry(1))

    await stage.drain(consumer)

    assert [("dead",)] == await stage.failed("status")
