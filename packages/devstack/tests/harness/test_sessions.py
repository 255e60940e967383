"""Sessions that a test leaves open are ended before the next test, whatever they hold, and named."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.worker import Worker

type Facts = dict[str, Any]
type Observe = Callable[[Lease], Awaitable[Facts]]

EVENT = """
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
    VALUES ('membership', gen_random_uuid(), 'membership.created', '{}')
"""
HELD = {
    "an exclusive lock": "BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE",
    "rows that are not committed": f"BEGIN; {EVENT}",
    "a table that is not committed": "BEGIN; CREATE TABLE extra (id int)",
    "a failed transaction": "BEGIN; SELECT 1 / 0",
    "an advisory lock": "SELECT pg_advisory_lock(42)",
    "a channel": "LISTEN outbox",
    "a temporary table": "CREATE TEMPORARY TABLE extra AS SELECT 1 AS id",
    "a cursor": "DECLARE extra CURSOR WITH HOLD FOR SELECT 1",
    "a setting": "SET search_path = 'elsewhere'",
}


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
async def test_what_a_session_holds_is_let_go(
    held: str, worker: Worker, observe: Observe, truth: Facts
) -> None:
    """A forgotten session ends with all that it holds, and costs no new database."""
    lease = _lend(worker)
    forgotten = await _connect(worker, lease)
    await _execute_whatever_happens(forgotten, held)

    returned = worker.take_back(lease)

    again = _lend(worker)
    assert truth == await observe(again)
    assert [] == returned.differences
    assert await _is_ended(forgotten)
    worker.take_back(again)


async def test_running_statement_is_ended(worker: Worker, observe: Observe, truth: Facts) -> None:
    """A statement that still runs can't write after the next test has begun."""
    lease = _lend(worker)
    busy = await _connect(worker, lease)
    running = asyncio.create_task(busy.execute(f"SELECT pg_sleep(30); {EVENT}"))
    await asyncio.sleep(0.05)  # until the server has it; nothing depends on how long that takes

    worker.take_back(lease)

    with pytest.raises((asyncpg.PostgresError, OSError)):
        await running
    again = _lend(worker)
    assert truth == await observe(again)
    worker.take_back(again)


async def test_forgotten_session_is_named(worker: Worker) -> None:
    """The report says who left the session, in what state, and what it did last."""
    lease = _lend(worker)
    forgotten = await _connect(worker, lease, application_name="the culprit")
    await forgotten.execute("BEGIN; SELECT 42")

    returned = worker.take_back(lease)

    assert ["the culprit (idle in transaction): BEGIN; SELECT 42"] == [str(left) for left in returned.leaked]
    forgotten.terminate()


async def test_closed_session_is_no_leak(worker: Worker) -> None:
    """A test that closes what it opened is not blamed, though the server may take a moment longer."""
    lease = _lend(worker)
    for _ in range(5):
        await (await _connect(worker, lease)).close()

    returned = worker.take_back(lease)

    assert [] == returned.leaked


async def test_spared_session_goes_on(worker: Worker) -> None:
    """A session that the harness keeps from test to test is neither ended nor reported."""
    lease = _lend(worker)
    kept = await _connect(worker, lease)
    lease.spared.add(kept.get_server_pid())

    returned = worker.take_back(lease)

    assert (1, []) == (await kept.fetchval("SELECT 1"), returned.leaked)
    await kept.close()


def _lend(worker: Worker) -> Lease:
    lease = worker.lend()
    lease.is_open = True
    return lease


async def _connect(
    worker: Worker, lease: Lease, *, application_name: str = "forgotten"
) -> asyncpg.Connection:
    url = worker.cluster.settings(lease.database).url.reveal()
    return await asyncpg.connect(url, ssl=False, server_settings={"application_name": application_name})


async def _execute_whatever_happens(connection: asyncpg.Connection, sql: str) -> None:
    for statement in sql.split("; "):
        try:
            await connection.execute(statement)
        except asyncpg.DivisionByZeroError:
            return


async def _is_ended(connection: asyncpg.Connection) -> bool:
    try:
        await connection.execute("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()
        return True
    return False
