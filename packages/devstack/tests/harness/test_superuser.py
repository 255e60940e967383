"""A superuser can do worse than the role of tests: the next test still finds what the migrations made."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.waiting import eventually
from sherpa.devstack.harness.worker import Worker

type Facts = dict[str, Any]
type Observe = Callable[[Lease], Awaitable[Facts]]

END_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = '{name}' AND pid <> pg_backend_pid()
"""

HARNESS_IS_THERE = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'test harness'
"""
INSIDE = {
    "a built-in function": "ALTER FUNCTION pg_catalog.lower(text) COST 77",
    "a right to a built-in function": "REVOKE EXECUTE ON FUNCTION pg_catalog.lower(text) FROM PUBLIC",
    "a catalogue's row": "UPDATE pg_catalog.pg_proc SET procost = 78 WHERE proname = 'upper'",
    "an event trigger": "CREATE FUNCTION extra() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " CREATE EVENT TRIGGER extra ON ddl_command_end EXECUTE FUNCTION extra()",
    "a foreign data wrapper": "CREATE FOREIGN DATA WRAPPER extra",
    "a cast": "CREATE CAST (date AS int) WITHOUT FUNCTION",
    "another owner": "ALTER TABLE outbox OWNER TO CURRENT_USER",
    "the harness's session, ended": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
}
OUTSIDE = {
    "a dropped database": "DROP DATABASE {name} WITH (FORCE)",
    "a renamed database": "ALTER DATABASE {name} RENAME TO elsewhere",
    "a database closed to all": "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
    "every session of it, ended": "SELECT 1",
}


@pytest.mark.parametrize("abuse", INSIDE.values(), ids=INSIDE)
async def test_inside_the_database(abuse: str, worker: Worker, observe: Observe, truth: Facts) -> None:
    """Where a superuser was let in, the proof looks at PostgreSQL's own objects too."""
    lease = await _lend(worker)
    await _run(worker, lease.database, abuse)

    returned = worker.take_back(lease)

    again = await _lend(worker)
    assert truth == await observe(again)
    assert returned.differences
    worker.take_back(again)


@pytest.mark.parametrize("abuse", OUTSIDE.values(), ids=OUTSIDE)
async def test_outside_the_database(abuse: str, worker: Worker, observe: Observe, truth: Facts) -> None:
    """A database that is gone, closed or cut off from the harness is replaced."""
    lease = await _lend(worker)
    await _run(worker, "postgres", END_ALL.format(name=lease.database))
    await _run(worker, "postgres", abuse.format(name=lease.database))

    returned = worker.take_back(lease)

    again = await _lend(worker)
    assert truth == await observe(again)
    assert returned.differences
    worker.take_back(again)


async def test_maintenance_survives_its_sessions_end(worker: Worker, observe: Observe, truth: Facts) -> None:
    """When someone ends all sessions of the cluster, the harness opens its own again."""
    lease = await _lend(worker)
    await _run(
        worker,
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )

    worker.take_back(lease)

    again = await _lend(worker)
    assert truth == await observe(again)
    worker.take_back(again)


async def _lend(worker: Worker) -> Lease:
    """Lend a database once the harness has its own session there, which opens beside the test."""
    lease = worker.lend()
    lease.is_open = True
    async with _superuser(worker, "postgres") as connection:
        await eventually(lambda: connection.fetchval(HARNESS_IS_THERE, lease.database))
    return lease


async def _run(worker: Worker, database: str, sql: str) -> None:
    async with _superuser(worker, database) as connection:
        await connection.execute(sql)


@asynccontextmanager
async def _superuser(worker: Worker, database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(worker.superuser_settings(database).url.reveal(), ssl=False)
    try:
        yield connection
    finally:
        await connection.close()
