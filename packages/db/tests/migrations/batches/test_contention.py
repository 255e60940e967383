"""A data migration beside an application at work: it gives way, and nothing of either is lost."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from packages.db.tests.migrations.batches.conftest import FillAccounts
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.batches.contention import count_waiting
from sherpa.db.migrations.errors import StuckError
from sherpa.db.migrations.events import Blocked, Event, Progress
from sherpa.db.migrations.session import open_session

type Walk = Callable[..., Coroutine[Any, Any, list[Event]]]

ADD_ONE = "UPDATE accounts SET balance = balance + 1 WHERE id BETWEEN $1 AND $2"
ADD_1000 = "UPDATE accounts SET balance = balance + 1000 WHERE id = $1"
EACH_ONCE = "SELECT count(*) FROM accounts WHERE balance = 1"
# Rows of before and rows added; what the walk did to the former, and what the application did to them.
SUMS = """
SELECT ARRAY[count(*) FILTER (WHERE id <= 2000), count(*) FILTER (WHERE id > 2000),
             sum(balance % 1000) FILTER (WHERE id <= 2000), sum(balance / 1000) FILTER (WHERE id <= 2000)]
FROM accounts
"""
# The first batch ends when somebody waits for it; until then it holds the advisory lock 1.
WAIT_FOR_A_WAITER = """
CREATE FUNCTION wait_for_a_waiter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 8 AND NEW.balance = 1 THEN
        PERFORM pg_advisory_xact_lock(1);
        -- For us: other tests' sessions wait on this server, too.
        WHILE NOT EXISTS (
            SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
        ) LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER waits AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION wait_for_a_waiter();
"""
IS_SOMEBODY_READY = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1)"
IS_SOMEBODY_WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""


@pytest.fixture
async def application(empty_database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session of the application's."""
    async with open_session(empty_database_settings) as connection:
        yield connection


async def test_held_row_is_waited_for_and_named(
    fill_accounts: FillAccounts, walk: Walk, application: asyncpg.Connection
) -> None:
    """While a transaction holds a row, the walk tries again and names the holder."""
    await fill_accounts(30)
    told: list[Event] = []

    async with application.transaction():
        await application.execute("UPDATE accounts SET balance = 0 WHERE id = 17")
        walking = asyncio.create_task(walk(Batches("accounts", "id", ADD_ONE, rows=10), told=told))
        await _until(lambda: _has_blocked(told))
    await walking

    blocked = next(event for event in told if isinstance(event, Blocked))
    assert ("rows of public.accounts", application.get_server_pid()) == (
        blocked.lock,
        blocked.blockers[0].pid,
    )
    assert 30 == await application.fetchval(EACH_ONCE)


async def test_patience_has_an_end(
    fill_accounts: FillAccounts, walk: Walk, application: asyncpg.Connection
) -> None:
    """When no batch succeeds for too long, it fails and says who was in the way; the next run goes on."""
    batches = Batches("accounts", "id", ADD_ONE, rows=10, lock_timeout_seconds=0.05, patience_seconds=0.01)
    await fill_accounts(30)

    async with application.transaction():
        await application.execute("UPDATE accounts SET balance = 0 WHERE id = 1")
        with pytest.raises(StuckError) as caught:
            await walk(batches)

    assert f"for longest: pid {application.get_server_pid()}, " in str(caught.value)
    assert "0 of about 30 rows are done" in str(caught.value)
    await walk(batches)
    assert 30 == await application.fetchval(EACH_ONCE)


async def test_application_never_loses_a_deadlock(
    fill_accounts: FillAccounts, walk: Walk, application: asyncpg.Connection
) -> None:
    """Where both hold what the other wants, the walk gives up before the server seeks a victim."""
    await fill_accounts(2)

    async with application.transaction():
        await application.execute("UPDATE accounts SET balance = balance + 2 WHERE id = 2")
        walking = asyncio.create_task(walk(Batches("accounts", "id", ADD_ONE)))
        await _until(lambda: application.fetchval(IS_SOMEBODY_WAITING))
        await application.execute("UPDATE accounts SET balance = balance + 2 WHERE id = 1")
    await walking

    assert [3, 3] == [row["balance"] for row in await application.fetch("SELECT balance FROM accounts")]


async def test_waiting_sessions_are_counted(
    fill_accounts: FillAccounts, empty_connection: asyncpg.Connection, application: asyncpg.Connection
) -> None:
    """Who waits for a row that our open transaction changed is seen from inside it."""
    await fill_accounts(1)

    async with empty_connection.transaction():
        before = await count_waiting(empty_connection)
        await empty_connection.execute(ADD_ONE, 1, 1)
        waiting = asyncio.create_task(application.execute("UPDATE accounts SET balance = 5"))
        now = await _until(lambda: count_waiting(empty_connection))
    await waiting

    assert (0, 1) == (before, now)


async def test_batch_that_blocks_others_shrinks(
    fill_accounts: FillAccounts, walk: Walk, application: asyncpg.Connection
) -> None:
    """A batch that somebody waited for is followed by one of half its rows."""
    await fill_accounts(20)
    await application.execute(WAIT_FOR_A_WAITER)
    told: list[Event] = []

    walking = asyncio.create_task(
        walk(Batches("accounts", "id", ADD_ONE, rows=8, batch_seconds=600), told=told)
    )
    await _until(lambda: application.fetchval(IS_SOMEBODY_READY))
    await application.execute("UPDATE accounts SET balance = balance + 2 WHERE id = 8")
    await walking

    assert [8, 12] == [event.done for event in told if isinstance(event, Progress)][:2]


async def test_traffic_goes_through_and_nothing_is_lost(
    fill_accounts: FillAccounts,
    walk: Walk,
    empty_database_settings: DatabaseSettings,
    application: asyncpg.Connection,
) -> None:
    """Transactions on the same rows, inserts among them, commit during the walk; each change is there."""
    await fill_accounts(2000)
    await application.execute("ALTER TABLE accounts DROP CONSTRAINT accounts_balance_check")
    over = asyncio.Event()

    async def work(number: int) -> int:
        """Change two rows in each transaction, in any order, and add one now and then."""
        count = 0
        async with open_session(empty_database_settings) as connection:
            while not over.is_set():
                low, high = sorted(random.sample(range(1, 2001), 2))
                async with connection.transaction():
                    await connection.execute(
                        "UPDATE accounts SET balance = balance + 1000 WHERE id = $1", low
                    )
                    await connection.execute("INSERT INTO accounts VALUES ($1)", 10_000_000 * number + count)
                    await connection.execute(
                        "UPDATE accounts SET balance = balance + 1000 WHERE id = $1", high
                    )
                count += 1
                await asyncio.sleep(0.002)
        return count

    workers = [asyncio.create_task(work(number)) for number in (1, 2, 3)]
    await walk(Batches("accounts", "id", ADD_ONE, rows=100, batch_seconds=0.05, duty=1))
    over.set()
    counts = await asyncio.gather(*workers)

    expected = (2000, sum(counts), 2000, 2 * sum(counts))
    assert expected == tuple(await application.fetchval(SUMS))
    assert all(counts)


async def _has_blocked(told: list[Event]) -> bool:
    return any(isinstance(event, Blocked) for event in told)


async def _until[T](ask: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(60):
        while True:
            if answer := await ask():
                return answer
            await asyncio.sleep(0.01)
