"""How a worker stops: within its grace, whatever it is doing and however often it is told."""

import asyncio
import signal
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well(start: Any, addresses: Any, number: signal.Signals) -> None:
    """A signal ends it with 0."""
    worker = start(**addresses)
    worker.wait_until_state("ready")

    worker.signal(number)

    assert (0, True) == (worker.exit_code(), worker.has_logged("stopped"))


def test_told_twice_it_hurries(start: Any, addresses: Any) -> None:
    """A second signal changes the exit code as little as the first."""
    worker = start(**addresses)
    worker.wait_until_state("ready")

    worker.signal().signal()

    assert 0 == worker.exit_code()


def test_told_before_postgresql_is_there(start: Any) -> None:
    """Waiting for PostgreSQL, it stops as well."""
    worker = start().wait_until_logged("database not ready")

    worker.signal()

    assert 0 == worker.exit_code()


def test_told_in_its_first_moments(start: Any) -> None:
    """Told while it loads, it ends with 0 and no traceback."""
    worker = start()

    worker.signal()

    assert worker.exit_code() in {0, -signal.SIGTERM}  # before Python itself has begun
    assert "Traceback" not in worker.text


async def publish_one(connection: asyncpg.Connection) -> None:
    """Make the table of the effects, and an event in the outbox."""
    await connection.execute("CREATE TABLE IF NOT EXISTS effects (event_id uuid NOT NULL)")
    await connection.execute(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload)"
        " VALUES ($1, 'thing', $2, 'thing.happened', '{}')",
        uuid7(),
        uuid4(),
    )


async def facts(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many effects there are, and how many events are known as done."""
    return (
        await connection.fetchval("SELECT count(*) FROM effects"),
        await connection.fetchval("SELECT count(*) FROM processed_events"),
    )


async def test_what_runs_is_finished(
    start: Any, addresses: Any, working: Any, connection: asyncpg.Connection
) -> None:
    """Told to stop while a handler works, the worker lets it finish: committed, done, ended with 0."""
    await publish_one(connection)
    worker = start(working, **addresses, WORK_SECONDS="1.5").wait_until_logged("working")

    worker.signal()
    ended = worker.exit_code()
    again = start(working, **addresses, WORK_SECONDS="0").wait_until_state("ready")

    assert (0, True) == (ended, worker.has_logged("worked"))
    assert (1, 1) == await facts(connection)
    assert 200 == again.status


@pytest.mark.parametrize(("grace", "signals"), [("2", 1), ("60", 2)])
async def test_what_does_not_finish_is_rolled_back(
    start: Any, addresses: Any, working: Any, connection: asyncpg.Connection, grace: str, signals: int
) -> None:
    """When the grace is over, or at a second signal, the handler is undone; the next worker does it once."""
    await publish_one(connection)
    worker = start(working, **addresses, WORK_SECONDS="100", WORKER_GRACE_SECONDS=grace)
    worker.wait_until_logged("working")

    for _ in range(signals):
        worker.signal().wait_until_logged("told to stop")
        await asyncio.sleep(0.1)
    ended, undone = worker.exit_code(), await facts(connection)
    start(working, **addresses, WORK_SECONDS="0").wait_until_metric(
        'sherpa_events_handled_total{handler="slow"} 1.0'
    )

    assert (0, False, (0, 0)) == (ended, worker.has_logged("worked"), undone)
    assert (1, 1) == await facts(connection)


def test_the_seats_are_free_at_once(start: Any, addresses: Any) -> None:
    """When the leader stops, another worker leads, without waiting for anything to expire."""
    first = start(**addresses).wait_until_metric('sherpa_events_relay_leader{partition="0"} 1.0')
    second = start(**addresses, WORKER_HANDLERS="none")
    second.wait_until_state("ready")

    first.signal()

    assert 0 == first.exit_code()
    second.wait_until_metric('sherpa_events_relay_leader{partition="0"} 1.0')
