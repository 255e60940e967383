"""What happens to a membership changes its row and tells of it: both or neither, and never twice."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.membership.tests.conftest import Join, Published, months
from sherpa.db.engine import Database
from sherpa.db.tables.memberships import MembershipStatus, Tier
from sherpa.membership import memberships, queries
from sherpa.membership.errors import (
    AlreadyMemberError,
    MembershipNotFoundError,
    RepeatedDifferentlyError,
    TransitionError,
)
from sherpa.membership.facts import StripeIds, Terms
from sherpa.membership.membership import Membership

FREE = Terms(Tier.FREE)
PAID = Terms(Tier.MONTHLY, months(0))
NEXT = Terms(Tier.ANNUAL, months(1))


async def renew(database: Database, membership: Membership, terms: Terms) -> Membership:
    """Renew it, and commit."""
    async with database.transaction() as transaction:
        return await memberships.renew(transaction, membership.id, terms)


async def cancel(database: Database, membership: Membership) -> Membership:
    """Cancel it, and commit."""
    async with database.transaction() as transaction:
        return await memberships.cancel(transaction, membership.id)


async def expire(connection: asyncpg.Connection, membership: Membership) -> None:
    """Let it have expired."""
    await connection.execute("UPDATE memberships SET status = 'expired' WHERE id = $1", membership.id)


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        (FREE, MembershipStatus.ACTIVE),
        (PAID, MembershipStatus.ACTIVE),
        (Terms(Tier.ANNUAL), MembershipStatus.PENDING),
    ],
)
async def test_created_member_is_active_or_pending(
    database: Database, join: Join, published: Published, terms: Terms, status: MembershipStatus
) -> None:
    """Who pays nothing or has paid is active, who has yet to pay is pending; the event says the same."""
    created = await join(terms)

    async with database.connection() as connection:
        assert created == await queries.find(connection, created.id)
    ((kind, payload),) = await published()
    assert ("membership.created", status) == (kind, created.status)
    assert (str(created.user_id), terms.tier, status) == (
        payload["user_id"],
        payload["tier"],
        payload["status"],
    )
    assert payload["period_end"] == (terms.period and f"{terms.period.end:%Y-%m-%dT%H:%M:%SZ}")


async def test_rolled_back_change_tells_nothing(database: Database, published: Published) -> None:
    """When the caller's transaction fails, neither the row nor the event is there."""

    async def create_and_fail() -> None:
        async with database.transaction() as transaction:
            await memberships.create(transaction, uuid4(), FREE)
            raise OSError("the caller's")

    with pytest.raises(OSError, match="the caller's"):
        await create_and_fail()

    async with database.connection() as connection:
        assert 0 == await connection.fetchval("SELECT count(*) FROM memberships")
    assert [] == await published()


async def test_second_membership_is_refused(database: Database, join: Join, published: Published) -> None:
    """A user has one membership; asking for another leaves the caller's transaction usable."""
    first = await join()

    async with database.transaction() as transaction:
        with pytest.raises(AlreadyMemberError):
            await memberships.create(transaction, first.user_id, FREE)
        await memberships.cancel(transaction, first.id)

    assert ["membership.created", "membership.cancelled"] == [kind for kind, _ in await published()]


async def test_create_may_be_repeated(database: Database, published: Published) -> None:
    """The same id again gives the membership as it stands now, and tells nothing."""
    wanted, user = uuid4(), uuid4()
    async with database.transaction() as transaction:
        await memberships.create(transaction, user, PAID, membership_id=wanted)
        renewed = await memberships.renew(transaction, wanted, NEXT)

    async with database.transaction() as transaction:
        again = await memberships.create(transaction, user, PAID, membership_id=wanted)

    assert renewed == again
    assert 2 == len(await published())


async def test_id_is_not_given_twice(database: Database, join: Join) -> None:
    """An id that is another user's membership is refused."""
    first = await join()

    with pytest.raises(RepeatedDifferentlyError, match=str(first.id)):
        async with database.transaction() as transaction:
            await memberships.create(transaction, uuid4(), FREE, membership_id=first.id)


async def test_one_of_two_at_once_becomes_member(join: Join, published: Published) -> None:
    """Two transactions that make the same user a member: the second waits, and is refused."""
    user = uuid4()

    outcomes = await asyncio.gather(*(join(user_id=user) for _ in range(2)), return_exceptions=True)

    assert {Membership, AlreadyMemberError} == {type(outcome) for outcome in outcomes}
    assert 1 == len(await published())


@pytest.mark.parametrize("way", ["pending", "active", "cancelled", "expired"])
async def test_renewal_makes_active(
    database: Database, connection: asyncpg.Connection, join: Join, published: Published, way: str
) -> None:
    """From wherever it stands, a membership that is paid on is active on the new terms."""
    membership = await join(Terms(Tier.MONTHLY) if way == "pending" else PAID)
    if way == "cancelled":
        await cancel(database, membership)
    if way == "expired":
        await expire(connection, membership)

    renewed = await renew(database, membership, NEXT)

    assert (MembershipStatus.ACTIVE, NEXT) == (renewed.status, renewed.terms)
    assert membership.updated_at < renewed.updated_at
    kind, payload = (await published())[-1]
    assert ("membership.renewed", "annual", "active") == (kind, payload["tier"], payload["status"])


async def test_renewal_may_be_repeated(database: Database, join: Join, published: Published) -> None:
    """The same terms again change nothing and tell nothing."""
    renewed = await renew(database, await join(), NEXT)

    again = await renew(database, renewed, NEXT)

    assert renewed == again
    assert 2 == len(await published())


async def test_late_news_renews_nothing(database: Database, join: Join, published: Published) -> None:
    """News of an older payment can't shorten the period, nor take up what was cancelled since."""
    renewed = await renew(database, await join(), NEXT)

    with pytest.raises(TransitionError):
        await renew(database, renewed, PAID)
    await cancel(database, renewed)
    with pytest.raises(TransitionError):
        await renew(database, renewed, NEXT)

    assert "membership.cancelled" == (await published())[-1][0]


async def test_paid_time_is_not_given_away(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """A paid membership becomes free when it has expired, and not before."""
    membership = await join()

    with pytest.raises(TransitionError, match="when it has expired"):
        await renew(database, membership, FREE)
    await expire(connection, membership)
    renewed = await renew(database, membership, FREE)

    assert (MembershipStatus.ACTIVE, FREE) == (renewed.status, renewed.terms)


async def test_renewal_keeps_stripes_ids(database: Database) -> None:
    """What a renewal doesn't name at Stripe stays, what it names is taken."""
    async with database.transaction() as transaction:
        created = await memberships.create(
            transaction, uuid4(), PAID, stripe=StripeIds(customer="cus_1", subscription="sub_1")
        )
        renewed = await memberships.renew(
            transaction, created.id, NEXT, stripe=StripeIds(subscription="sub_2")
        )

    assert StripeIds(customer="cus_1", subscription="sub_2") == renewed.stripe


async def test_cancelling_keeps_what_is_paid(database: Database, join: Join, published: Published) -> None:
    """Notice ends nothing before the period's end, may be given twice, and is told once."""
    membership = await join()

    cancelled = await cancel(database, membership)
    again = await cancel(database, membership)

    assert (MembershipStatus.CANCELLED, PAID) == (cancelled.status, cancelled.terms)
    assert cancelled == again
    assert ["membership.created", "membership.cancelled"] == [kind for kind, _ in await published()]


async def test_expired_is_not_cancelled(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """Where nothing is left, nothing can be cancelled."""
    membership = await join()
    await expire(connection, membership)

    with pytest.raises(TransitionError):
        await cancel(database, membership)


async def test_unknown_membership_is_named(database: Database) -> None:
    """A change of what is not there says so, with the id, and leaves the transaction usable."""
    missing = UUID(int=7)

    async with database.transaction() as transaction:
        with pytest.raises(MembershipNotFoundError, match=str(missing)):
            await memberships.renew(transaction, missing, PAID)
        with pytest.raises(MembershipNotFoundError, match=str(missing)):
            await memberships.cancel(transaction, missing)


async def test_events_of_one_membership_come_in_order(
    database: Database, join: Join, published: Published
) -> None:
    """Changes that race wait for each other: the outbox tells them in the order in which they were made."""
    membership = await join()
    terms = [Terms(Tier.MONTHLY, months(number)) for number in range(1, 9)]

    outcomes = await asyncio.gather(
        *(renew(database, membership, each) for each in terms), return_exceptions=True
    )

    done = {each.terms.period for each in outcomes if isinstance(each, Membership)}
    told = [payload["period_end"] for _, payload in (await published())[1:]]
    assert all(isinstance(each, Membership | TransitionError) for each in outcomes)
    assert sorted(f"{each.end:%Y-%m-%dT%H:%M:%SZ}" for each in done if each) == told
    assert months(8) in done
