"""Memberships expire when the database's clock says that their time is over, each once."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from packages.membership.tests.conftest import Join, Published, months, running
from sherpa.db.engine import Database
from sherpa.db.tables.memberships import MembershipStatus, Tier
from sherpa.membership import expiry, memberships
from sherpa.membership.expiry import expire_due
from sherpa.membership.facts import Terms
from sherpa.membership.membership import Membership

OVER = Terms(Tier.MONTHLY, months(0))


async def expire(database: Database, *, limit: int = 1000) -> tuple[Membership, ...]:
    """Expire what is due, and commit."""
    async with database.transaction() as transaction:
        return await expire_due(transaction, limit=limit)


async def test_what_is_over_expires(database: Database, join: Join, published: Published) -> None:
    """Active and cancelled ones whose period is over expire with an event each; the others stay."""
    active, cancelled = await join(OVER), await join(OVER)
    async with database.transaction() as transaction:
        await memberships.cancel(transaction, cancelled.id)
    for terms in (Terms(Tier.FREE), Terms(Tier.ANNUAL), Terms(Tier.ANNUAL, running())):
        await join(terms)
    before = len(await published())

    expired = await expire(database)

    assert {active.id, cancelled.id} == {membership.id for membership in expired}
    assert {MembershipStatus.EXPIRED} == {membership.status for membership in expired}
    told = (await published())[before:]
    assert ["membership.expired"] * 2 == [kind for kind, _ in told]
    assert {str(active.user_id), str(cancelled.user_id)} == {payload["user_id"] for _, payload in told}


async def test_nothing_expires_twice(database: Database, join: Join) -> None:
    """A second run finds nothing."""
    await join(OVER)
    await expire(database)

    again = await expire(database)

    assert () == again


async def test_limit_leaves_the_rest(database: Database, join: Join) -> None:
    """A run takes as many as it may, and another one takes the others."""
    for _ in range(3):
        await join(OVER)

    numbers = [len(await expire(database, limit=2)) for _ in range(3)]

    assert [2, 1, 0] == numbers


async def test_two_runs_share_the_work(database: Database, join: Join, published: Published) -> None:
    """Two runs at once tell each expiry once, and neither waits for the other."""
    for _ in range(20):
        await join(OVER)

    both = await asyncio.gather(expire(database, limit=15), expire(database, limit=15))

    taken = [membership.id for run in both for membership in run]
    assert len(set(taken)) == len(taken)
    assert len(taken) == [kind for kind, _ in await published()].count("membership.expired")


async def test_one_that_is_being_renewed_is_left(database: Database, join: Join) -> None:
    """Whoever pays in the last moment does not expire."""
    member = await join(OVER)
    async with database.transaction() as transaction:
        await memberships.renew(transaction, member.id, Terms(Tier.MONTHLY, running()))

        expired = await asyncio.create_task(expire(database), context=database.outside_transaction())

    assert () == expired


@pytest.mark.parametrize("start", ["'2026-03-01'", "NULL"])
async def test_odd_row_stops_nobody(
    database: Database, connection: asyncpg.Connection, join: Join, start: str
) -> None:
    """A row that we would not have written expires like the others, instead of standing in their way."""
    await join(OVER)
    await connection.execute(
        "INSERT INTO memberships (id, user_id, tier, status, current_period_start, current_period_end)"
        f" VALUES ($1, $2, 'free', 'active', {start}, '2026-02-01')",
        uuid4(),
        uuid4(),
    )

    expired = await expire(database)

    assert 2 == len(expired)


async def test_what_is_due_is_found_by_an_index(connection: asyncpg.Connection) -> None:
    """The index is searched for the time, and not read from its beginning."""
    await connection.execute("SET enable_seqscan = off")

    plan = await connection.fetch(f"EXPLAIN {expiry._EXPIRE}", 1000)

    lines = [row["QUERY PLAN"].strip() for row in plan]
    assert any("idx_memberships_period_end" in line for line in lines)
    assert "Index Cond: (current_period_end <= statement_timestamp())" in lines
