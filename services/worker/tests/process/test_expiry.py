"""Memberships expire by themselves while workers run: each once, told by its event, whatever goes away."""

import asyncio
import signal
from typing import Any
from uuid import UUID, uuid4

import asyncpg

ENDED_AT = 'sherpa_worker_duty_last_run_timestamp_seconds{duty="expire-memberships"}'
OFTEN = {"WORKER_EXPIRY_SECONDS": "0.1"}
LONG = 30.0
IS_WAITED_FOR = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'memberships'::regclass AND NOT granted)"
)


async def become_member(connection: asyncpg.Connection, *, seconds_left: float) -> UUID:
    """Make a member whose period is over after so many seconds."""
    membership_id = uuid4()
    await connection.execute(
        "INSERT INTO memberships (id, user_id, tier, status, current_period_start, current_period_end)"
        " VALUES ($1, $2, 'monthly', 'active', now() - interval '1 month', now() + $3 * interval '1 second')",
        membership_id,
        uuid4(),
        seconds_left,
    )
    return membership_id


async def published(connection: asyncpg.Connection) -> list[UUID]:
    """Return of which memberships a published event tells that they have expired."""
    rows = await connection.fetch(
        "SELECT aggregate_id FROM outbox"
        " WHERE event_type = 'membership.expired' AND processed_at IS NOT NULL ORDER BY created_at, id"
    )
    return [row["aggregate_id"] for row in rows]


async def wait_until_published(connection: asyncpg.Connection, member: UUID) -> None:
    """Wait until it is told that the membership has expired."""
    async with asyncio.timeout(LONG):
        while member not in await published(connection):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


def rounds_end(worker: Any) -> float:
    """Return when the worker last went through with it; 0: never."""
    lines = worker.ask("/metrics").text.splitlines()
    return max((float(line.split()[-1]) for line in lines if line.startswith(ENDED_AT)), default=0.0)


def wait_for_a_round(worker: Any) -> None:
    """Wait until the worker has gone through with it once more."""
    worker.wait_until_logged("listening")
    before = rounds_end(worker)
    worker.wait_until(lambda: rounds_end(worker) > before, "a further round")


async def test_two_workers_expire_it_once(start: Any, addresses: Any, connection: asyncpg.Connection) -> None:
    """A period ends while two workers run: the membership expires, and one event of it is published."""
    one, two = start(**addresses, **OFTEN), start(**addresses, **OFTEN)
    for worker in (one, two):
        wait_for_a_round(worker)

    members = [await become_member(connection, seconds_left=0.5) for _ in range(20)]
    for member in members:
        await wait_until_published(connection, member)
    for worker in (one, two):
        wait_for_a_round(worker)

    assert sorted(members) == sorted(await published(connection))
    assert 20 == await connection.fetchval("SELECT count(*) FROM memberships WHERE status = 'expired'")
    assert any(worker.has_logged("duty done") for worker in (one, two))


async def test_postgresql_away_and_back(start: Any, servers: Any) -> None:
    """While PostgreSQL is away nothing expires; as soon as it is back, all does that is due."""
    worker = start(**servers.addresses, **OFTEN)
    wait_for_a_round(worker)

    servers.postgres.stop()
    worker.wait_until_state("unavailable")
    servers.postgres.start()
    connection = await asyncpg.connect(servers.addresses["DATABASE_URL"])
    try:
        await wait_until_published(connection, await become_member(connection, seconds_left=0))
    finally:
        await connection.close()


async def test_told_to_stop_it_leaves_the_rest(
    start: Any, addresses: Any, connection: asyncpg.Connection
) -> None:
    """A stop does not wait for what is expiring: that is rolled back, and the next worker's."""
    member = await become_member(connection, seconds_left=0)
    async with connection.transaction():
        await connection.execute("LOCK TABLE memberships")
        worker = start(**addresses, **OFTEN, WORKER_GRACE_SECONDS="1000")
        async with asyncio.timeout(LONG):
            while not await connection.fetchval(IS_WAITED_FOR):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

        ended = await asyncio.to_thread(worker.signal(signal.SIGTERM).exit_code)

    assert (0, []) == (ended, await published(connection))
    start(**addresses, **OFTEN)
    await wait_until_published(connection, member)


def test_who_runs_no_handler_expires_nothing(start: Any, addresses: Any) -> None:
    """A worker that only relays has no part in the domain."""
    worker = start(**addresses, **OFTEN, WORKER_HANDLERS="none")

    worker.wait_until_state("ready")
    worker.wait_until(lambda: 'duty="prune"' in worker.ask("/metrics").text, "a round of another duty")

    assert "expire-memberships" not in worker.ask("/metrics").text
