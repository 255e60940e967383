"""A payment is a row that stays, told of in the order of its membership, and recorded once."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.membership.tests.conftest import Join, Published
from sherpa.db.engine import Database
from sherpa.membership import memberships, payments, queries
from sherpa.membership.errors import MembershipNotFoundError, RepeatedDifferentlyError
from sherpa.membership.facts import Money
from sherpa.membership.payments import Payment, RecordedPayment


def payment(membership_id: UUID, cents: int = 1900) -> Payment:
    """Make a payment with everything in it."""
    return Payment(
        id=uuid4(),
        membership_id=membership_id,
        kind="invoice.paid",
        amount=Money(cents),
        stripe_invoice_id="in_1",
        description="Janvier, payé",
    )


async def record(database: Database, made: Payment) -> RecordedPayment:
    """Record it, and commit."""
    async with database.transaction() as transaction:
        return await payments.record(transaction, made)


async def test_payment_is_kept_and_told(database: Database, join: Join, published: Published) -> None:
    """The history has the payment as it was given; the event has its amount in cents and its currency."""
    made = payment((await join()).id, -1900)

    recorded = await record(database, made)

    async with database.connection() as connection:
        assert (recorded,) == await queries.list_payments(connection, made.membership_id)
    assert made == recorded.payment
    told = {"payment_id": str(made.id), "kind": "invoice.paid", "amount_cents": -1900, "currency": "CAD"}
    assert ("payment.recorded", told) == (await published())[-1]


async def test_payment_without_money_has_no_currency(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """Where no money moved, neither amount nor currency is made up."""
    made = replace(payment((await join()).id), amount=None, kind="invoice.payment_failed")

    recorded = await record(database, made)

    row = await connection.fetchrow("SELECT amount_cents, currency FROM billing_history")
    assert row
    assert (None, None) == tuple(row)
    assert recorded.payment.amount is None


async def test_payment_may_be_repeated(database: Database, join: Join, published: Published) -> None:
    """The same payment again, one after the other or at once, is one row and one event."""
    made = payment((await join()).id)

    recorded = await asyncio.gather(*(record(database, made) for _ in range(4)))

    assert {recorded[0]} == set(recorded)
    assert 2 == len(await published())


async def test_repeat_says_the_same(database: Database, join: Join) -> None:
    """Another amount under the same id is refused: one of the two is wrong."""
    made = payment((await join()).id)
    await record(database, made)

    with pytest.raises(RepeatedDifferentlyError, match=str(made.id)):
        await record(database, replace(made, amount=Money(1)))


async def test_payment_needs_a_membership(database: Database) -> None:
    """A payment of nobody is the domain's error, before PostgreSQL's foreign key."""
    with pytest.raises(MembershipNotFoundError):
        await record(database, payment(uuid4()))


async def test_payment_waits_for_a_change(database: Database, join: Join, published: Published) -> None:
    """A payment that comes while its membership changes is told after the change."""
    member = await join()
    async with database.transaction() as transaction:
        await memberships.cancel(transaction, member.id)
        waiting = asyncio.create_task(
            record(database, payment(member.id)), context=database.outside_transaction()
        )
        await transaction.connection.execute("SELECT pg_sleep(0.05)")
    await waiting

    assert ["membership.cancelled", "payment.recorded"] == [kind for kind, _ in (await published())[1:]]


async def test_history_comes_in_pages(database: Database, join: Join) -> None:
    """The newest payments come first, and each page goes on where the one before ended."""
    member = await join()
    made = [await record(database, payment(member.id, cents)) for cents in range(5)]
    made.reverse()

    async with database.connection() as connection:
        first = await queries.list_payments(connection, member.id, limit=2)
        rest = await queries.list_payments(connection, member.id, before=first[-1])

    assert made == [*first, *rest]


async def test_payments_of_one_instant_are_told_apart(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """No payment is lost between two pages, even where all have the same time."""
    member = await join()
    made = {(await record(database, payment(member.id))).payment.id for _ in range(4)}
    await connection.execute("UPDATE billing_history SET created_at = '2026-01-01'")

    async with database.connection() as lent:
        first = await queries.list_payments(lent, member.id, limit=2)
        rest = await queries.list_payments(lent, member.id, before=first[-1])

    assert made == {each.payment.id for each in (*first, *rest)}
    assert 4 == len(first) + len(rest)
