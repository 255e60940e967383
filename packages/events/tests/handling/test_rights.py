"""A role that may not do what handling needs: no event is to blame, so none fails of it."""

import asyncio
import logging

import asyncpg
import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Kind
from sherpa.events.handling.outcome import Outcome

# Only so that what never comes is a failure and no hang.
LONG = 30.0
DENIED = "permission denied for table effects"
NEEDED = ["INSERT ON processed_events", "INSERT ON effects", "INSERT, UPDATE ON failed_events"]

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""


async def fail(transaction: Transaction, event: Received[Counted]) -> None:
    """Do nothing, and fail."""
    raise ValueError


async def steps(consumer: Consumer, number: int = 12) -> list[Outcome]:
    """Return what so many steps come to."""
    return [await consumer.step() for _ in range(number)]


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
@pytest.mark.parametrize("right", NEEDED[:2])
async def test_missing_right_is_no_attempt(
    stage: Stage, connection: asyncpg.Connection, kind: Kind, right: str
) -> None:
    """Without a right, ours or the handler's, the event waits as it is, and is done when it is granted."""
    await connection.execute(f"REVOKE {right} FROM CURRENT_USER")
    consumer = stage.consumer(kind=kind, attempts=1)
    await stage.append(entry(1))

    outcomes = await steps(consumer)
    failed = await stage.failed("status")
    await connection.execute(f"GRANT {right} TO CURRENT_USER")
    await stage.drain(consumer)

    assert Outcome.REFUSED in outcomes
    assert [] == failed == await stage.failed("status")
    assert ([1], 0) == (await stage.effects(), await stage.pending())


async def test_failure_that_cannot_be_kept_waits(stage: Stage, connection: asyncpg.Connection) -> None:
    """Where a failed event can't be recorded, it is neither lost nor acknowledged."""
    consumer = stage.consumer(handle=fail, attempts=1)
    await stage.drain(consumer)
    await connection.execute(f"REVOKE {NEEDED[2]} FROM CURRENT_USER")
    await stage.append(entry(1))

    outcomes = await steps(consumer)
    pending = await stage.pending()
    await connection.execute(f"GRANT {NEEDED[2]} TO CURRENT_USER")
    await stage.drain(consumer)

    assert (True, 1) == (Outcome.REFUSED in outcomes, pending)
    assert [("dead", 1)] == await stage.failed("status", "attempts")


async def test_read_only_server_is_no_attempt(stage: Stage, connection: asyncpg.Connection) -> None:
    """What a nearly full managed server does: sessions that begin now may not write. It passes by itself."""
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    await connection.execute(END_SESSIONS)
    consumer = stage.consumer(attempts=1)
    await stage.append(entry(1))

    outcomes = await steps(consumer)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    await steps(consumer)
    await stage.drain(consumer)

    assert Outcome.REFUSED in outcomes
    assert ([1], []) == (await stage.effects(), await stage.failed("status"))


async def test_retry_that_is_refused_is_no_death(stage: Stage, connection: asyncpg.Connection) -> None:
    """However often it is refused, an event that is tried again has not killed anybody."""
    is_well = False

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        if not is_well:
            raise ValueError
        await transaction.connection.execute("INSERT INTO effects (number) VALUES (1)")

    consumer = stage.consumer(handle=handle, attempts=3)
    await stage.append(entry(1))
    while not await stage.failed("status"):
        await consumer.step()
    is_well = True
    await connection.execute("REVOKE INSERT ON effects FROM CURRENT_USER")
    await steps(consumer, 40)
    failed = await stage.failed("status", "attempts")

    await connection.execute("GRANT INSERT ON effects TO CURRENT_USER")
    await stage.drain(consumer)

    assert ([("retrying", 1)], []) == (failed, await stage.failed("status"))


async def test_policy_of_a_row_is_the_events_fault(stage: Stage, connection: asyncpg.Connection) -> None:
    """Row-level security refuses this event's row and not another one's: it fails as by any other error."""
    await connection.execute("ALTER TABLE effects ENABLE ROW LEVEL SECURITY")
    await connection.execute("ALTER TABLE effects FORCE ROW LEVEL SECURITY")
    await connection.execute("CREATE POLICY small ON effects USING (true) WITH CHECK (number < 5)")
    await stage.append(entry(7), entry(2))

    await stage.drain(stage.consumer(attempts=1))

    assert ([2], [("dead",)]) == (await stage.effects(), await stage.failed("status"))


async def test_it_is_said_once(
    stage: Stage,
    connection: asyncpg.Connection,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says what PostgreSQL refuses and what to do, another that it goes on; no attempt has one."""
    caplog.set_level(logging.INFO, logger="sherpa.events.handling")
    await connection.execute("REVOKE INSERT ON effects FROM CURRENT_USER")
    consumer, stop = stage.consumer(), asyncio.Event()
    await stage.append(entry(1))

    heard: list[str] = []

    def said() -> str:
        heard.append(capsys.readouterr().out)
        return "".join(heard)

    running = asyncio.create_task(consumer.run(stop))
    async with asyncio.timeout(LONG):
        while DENIED not in said():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # for some more attempts; with none the test is only weaker
        await connection.execute("GRANT INSERT ON effects TO CURRENT_USER")
        while not await stage.effects():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    stop.set()
    await running

    assert [1, 1, 1] == [
        said().count(words) for words in (DENIED, "handling goes on", "handler owns partition")
    ]
