"""A transaction that is rolled back needs no proof, as long as it is still the test's own."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from sherpa.devstack.harness.connections import rolled_back
from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.worker import PostgresCluster, Worker

type Facts = dict[str, Any]
type Observe = Callable[[Lease], Awaitable[Facts]]

EVENT = """
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
    VALUES ('membership', gen_random_uuid(), 'membership.created', '{}')
"""


@pytest.mark.parametrize(
    "work",
    [
        EVENT,
        "CREATE TABLE extra (id int)",
        "DROP TABLE outbox",
        "UPDATE migration SET name = name || '!'",
        "SELECT nextval('migration_id_seq')",
        "SELECT setval('migration_id_seq', 90, false)",
        "SELECT pg_advisory_lock(42)",
    ],
)
async def test_nothing_stays(work: str, worker: Worker, observe: Observe, truth: Facts) -> None:
    """Rows, DDL and locks go with the transaction; sequences, which don't, are set back."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease) as connection:
        await connection.execute(work)

    worker.take_back(lease)

    again = worker.lend()
    assert truth == await observe(again)
    assert (lease.database, False) == (again.database, lease.is_open)
    worker.take_back(again)


@pytest.mark.parametrize(
    "ending", ["COMMIT", "COMMIT; BEGIN", "ROLLBACK; {event}", "COMMIT; BEGIN; SAVEPOINT other"]
)
async def test_transaction_that_the_test_has_ended(
    ending: str, worker: Worker, observe: Observe, truth: Facts
) -> None:
    """A test that commits by itself is noticed, and its database wiped and proved like any other."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease) as connection:
        await connection.execute(EVENT)
        for statement in ending.split("; "):
            await connection.execute(statement.format(event=EVENT))

    worker.take_back(lease)

    again = worker.lend()
    assert truth == await observe(again)
    assert lease.is_open
    worker.take_back(again)


async def test_connection_that_the_test_has_closed(worker: Worker) -> None:
    """A connection that is gone can't say whether it committed: the database is wiped."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease) as connection:
        await connection.close()

    worker.take_back(lease)

    assert lease.is_open


@pytest.mark.parametrize("role", ["settings", "superuser_settings"])
async def test_second_way_in(role: str, worker: Worker, observe: Observe, truth: Facts) -> None:
    """Where a test has asked for settings too, it may have written elsewhere than in the transaction."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease):
        settings = getattr(PostgresCluster(worker), role)(lease.database)
        connection = await asyncpg.connect(settings.url.reveal(), ssl=False)
        await connection.execute(EVENT)
        await connection.close()

    worker.take_back(lease)

    again = worker.lend()
    assert truth == await observe(again)
    worker.take_back(again)


async def test_failed_statement_is_no_end(worker: Worker) -> None:
    """A transaction in which a statement failed is still the test's own."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease) as connection:
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT * FROM nowhere")

    worker.take_back(lease)

    assert not lease.is_open


async def test_transactions_nest(worker: Worker) -> None:
    """Transactions of the test's own work inside, as savepoints."""
    lease = worker.lend()
    async with rolled_back(worker.cluster.settings(lease.database), lease) as connection:
        async with connection.transaction():
            await connection.execute(EVENT)
        rows = await connection.fetchval("SELECT count(*) FROM outbox")

    worker.take_back(lease)

    assert (1, False) == (rows, lease.is_open)
