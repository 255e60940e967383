"""Running transactions again: what is transient, and how often, how long and what never."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psutil
import pytest
from tenacity import RetryCallState, wait_none

from sherpa.db import retry
from sherpa.db.constraints import UserHasMembershipError
from sherpa.db.engine import Database
from sherpa.db.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    DatabaseClosedError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    PoolTimeoutError,
    SchemaChangedError,
    TransactionConflictError,
    TransactionFailedError,
    TransactionMisuseError,
)
from sherpa.db.retry import is_transient
from sherpa.db.transaction import Transaction


@pytest.fixture
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_WAIT", wait_none())


class Work:
    """Work that raises the given errors, one a call, and then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, _transaction: Transaction) -> int:
        """Do the work."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.SerializationError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.ConnectionFailureError(),
        asyncpg.InvalidCachedStatementError(),
        asyncpg.InterfaceError("cannot perform operation: connection is closed"),
        asyncpg.InterfaceError(
            "cannot call Connection.fetch(): connection has been released back to the pool"
        ),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        ConnectionLostError(),
        DatabaseUnavailableError(),
        TransactionConflictError(),
        SchemaChangedError(),
    ],
)
def test_transient_errors(error: Exception) -> None:
    """What PostgreSQL or the network did, and may not do again, is transient."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError(),
        asyncpg.UndefinedTableError(),
        asyncpg.QueryCanceledError(),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InterfaceError("pool is closed"),
        CommitOutcomeUnknownError(),
        DatabaseClosedError(),
        DatabaseRefusedError(),
        PoolTimeoutError(),
        TransactionFailedError(),
        TransactionMisuseError(),
        UserHasMembershipError(),
        ValueError(),
        TimeoutError(),
        ConnectionResetError("by another service that the work asked"),
        asyncio.CancelledError(),
    ],
)
def test_lasting_errors(error: BaseException) -> None:
    """What would fail again, or may have succeeded already, is not transient."""
    assert not is_transient(error)


async def test_result_is_returned(database: Database) -> None:
    """Work that succeeds runs once, and its result comes back."""
    assert 1 == await database.retry(Work())


@pytest.mark.usefixtures("_no_waits")
async def test_conflicts_are_tried_again(database: Database) -> None:
    """After conflicts, the work is called again until it succeeds."""
    assert 3 == await database.retry(Work(TransactionConflictError(), asyncpg.DeadlockDetectedError()))


@pytest.mark.parametrize("error", [ValueError(), UserHasMembershipError(), CommitOutcomeUnknownError()])
async def test_other_errors_pass(database: Database, error: Exception) -> None:
    """An error that is not transient arrives at once, as it is."""
    work = Work(error, error)

    with pytest.raises(type(error)) as caught:
        await database.retry(work)

    assert (error, 1) == (caught.value, work.calls)


@pytest.mark.usefixtures("_no_waits")
async def test_committed_work_is_not_done_again(database: Database, ids: Any) -> None:
    """Work that committed by itself and then met a transient error is done once, and the error arrives."""
    calls: list[int] = []

    async def work(transaction: Transaction) -> None:
        calls.append(len(calls))
        await transaction.connection.execute("INSERT INTO items VALUES ($1)", calls[-1])
        await transaction.commit()
        raise ConnectionLostError

    with pytest.raises(ConnectionLostError):
        await database.retry(work)

    assert [0] == calls == await ids.committed()


@pytest.mark.usefixtures("_no_waits")
async def test_attempts_are_bounded(database: Database) -> None:
    """After the last attempt its error arrives, as the package's own."""
    work = Work(*(asyncpg.SerializationError() for _ in range(9)))

    with pytest.raises(TransactionConflictError):
        await database.retry(work, attempts=3)

    assert 3 == work.calls


async def test_time_is_bounded(database: Database) -> None:
    """No attempt begins when it would come too late."""
    work = Work(*(TransactionConflictError() for _ in range(9)))

    with pytest.raises(TransactionConflictError):
        await database.retry(work, within_seconds=0.0)

    assert 1 == work.calls


@pytest.mark.parametrize("attempt", range(1, 10))
def test_waits_grow_and_are_jittered(attempt: int) -> None:
    """The wait is anywhere between nothing and a bound that doubles from 50 ms to 2 s."""
    state: Any = type("State", (RetryCallState,), {"__init__": lambda _self: None})()
    state.attempt_number = attempt
    bound = min(2.0, 0.05 * 2 ** (attempt - 1))

    waits = [retry._WAIT(state) for _ in range(400)]

    assert 0 <= min(waits) < bound / 2 < max(waits) <= bound


async def test_retry_inside_transaction_is_refused(database: Database) -> None:
    """A part of a transaction can't be run again alone."""
    async with database.transaction():
        with pytest.raises(TransactionMisuseError, match="outside of any other"):
            await database.retry(Work())


async def test_write_skew_is_resolved(database: Database, connection: asyncpg.Connection) -> None:
    """Two serializable transactions that can't both be first both end well."""
    await connection.execute("CREATE TABLE items (id int)")
    first_attempts = asyncio.Barrier(2)

    async def work(transaction: Transaction) -> None:
        count = await transaction.connection.fetchval("SELECT count(*) FROM items")
        if not count:
            await first_attempts.wait()
        await transaction.connection.execute("INSERT INTO items VALUES ($1)", count)

    await asyncio.gather(*(database.retry(work, isolation="serializable") for _ in range(2)))

    assert [0, 1] == await connection.fetchval("SELECT array_agg(id ORDER BY id) FROM items")


async def test_deadlock_is_resolved(database: Database, connection: asyncpg.Connection) -> None:
    """Two transactions that lock each other out both end well."""
    await connection.execute("CREATE TABLE items (id int, n int); INSERT INTO items VALUES (1, 0), (2, 0)")
    locked = asyncio.Barrier(2)
    add = "UPDATE items SET n = n + 1 WHERE id = $1"

    def work_on(first: int, second: int) -> Callable[[Transaction], Awaitable[None]]:
        attempts: list[int] = []

        async def work(transaction: Transaction) -> None:
            attempts.append(1)
            await transaction.connection.execute(add, first)
            if len(attempts) == 1:
                await locked.wait()
            await transaction.connection.execute(add, second)

        return work

    await asyncio.gather(database.retry(work_on(1, 2)), database.retry(work_on(2, 1)))

    assert [2, 2] == await connection.fetchval("SELECT array_agg(n) FROM items")


async def test_terminated_session_is_replaced(database: Database) -> None:
    """Work whose session the administrator ends runs again on another one."""
    backends: list[int] = []

    async def work(transaction: Transaction) -> None:
        backends.append(await transaction.connection.fetchval("SELECT pg_backend_pid()"))
        if len(backends) == 1:
            await transaction.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await database.retry(work)

    assert 2 == len(set(backends))


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_restart_is_survived(own_server: Any, way: str) -> None:
    """Tasks in open transactions when the server restarts, by order or by a crash, all end well."""
    pid = await asyncio.to_thread(own_server.server.start)
    async with Database(own_server.settings(), application_name="restart") as database:
        everyone, restarted = asyncio.Barrier(5), asyncio.Event()

        async def long_lived() -> int:
            calls = 0

            async def work(transaction: Transaction) -> int:
                nonlocal calls
                calls += 1
                await transaction.connection.fetchval("SELECT 1")
                if calls == 1:
                    await everyone.wait()
                    await restarted.wait()
                return int(await transaction.connection.fetchval("SELECT 2"))

            first = await database.retry(work)
            return first + await database.retry(work)

        tasks = [asyncio.create_task(long_lived()) for _ in range(4)]
        await everyone.wait()
        await asyncio.to_thread(_restart, own_server, way, pid)
        restarted.set()

        assert [4, 4, 4, 4] == await asyncio.gather(*tasks)
        assert 0 == database.pool_stats().in_use


def _restart(own_server: Any, way: str, pid: int) -> None:
    if way == "stop":
        own_server.server.stop()
    else:
        postmaster = psutil.Process(pid)
        postmaster.kill()
        postmaster.wait(10)
    own_server.server.start()
