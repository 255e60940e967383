"""Bad input is refused before anything is written, in words that name what is wrong."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packages.membership.tests.conftest import START, months
from sherpa.db.engine import Database
from sherpa.db.tables.memberships import Tier
from sherpa.db.transaction import Transaction
from sherpa.membership import memberships, payments
from sherpa.membership.errors import InvalidFactsError
from sherpa.membership.facts import MOST_CENTS, Money, Period, StripeIds, Terms
from sherpa.membership.payments import Payment

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake that is to be refused
WRONG: Any = "free"


def payment(**facts: Any) -> Payment:
    """Make a payment with these facts wrong."""
    right: dict[str, Any] = {"id": uuid4(), "membership_id": uuid4(), "kind": "invoice.paid"}
    return Payment(**right | facts)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda to: memberships.create(to, uuid4(), Terms(WRONG)), "one of free, monthly, annual"),
        (lambda to: memberships.create(to, uuid4(), Terms(Tier.FREE, months(0))), "has no period"),
        (lambda to: memberships.create(to, uuid4(), Terms(Tier.ANNUAL, Period(START, START))), "after its"),
        (lambda to: memberships.create(to, uuid4(), Terms(Tier.ANNUAL, Period(NAIVE, START))), "time zone"),
        (lambda to: memberships.create(to, WRONG, Terms(Tier.FREE)), "user's id must be a UUID"),
        (
            lambda to: memberships.create(to, uuid4(), Terms(Tier.FREE), stripe=StripeIds(customer="")),
            "customer id must have 1 to 255 letters; it has 0",
        ),
        (lambda to: memberships.renew(to, uuid4(), Terms(Tier.MONTHLY)), "renewed monthly .* has a period"),
        (lambda to: memberships.renew(to, WRONG, Terms(Tier.FREE)), "must be a UUID; it is of type str"),
        (lambda to: memberships.cancel(to, WRONG), "must be a UUID"),
        (lambda to: payments.record(to, payment(id=WRONG)), "must be a UUID"),
        (lambda to: payments.record(to, payment(kind="x" * 51)), "1 to 50 letters; it has 51"),
        (lambda to: payments.record(to, payment(kind=None)), "1 to 50 letters; it has 0"),
        (lambda to: payments.record(to, payment(kind=7)), "must be a text; it is of type int"),
        (lambda to: payments.record(to, payment(description="a\0b")), "NUL"),
        (lambda to: payments.record(to, payment(description="\ud800")), "surrogate"),
        (lambda to: payments.record(to, payment(amount=Money(MOST_CENTS + 1))), "at most 2147483647"),
        (lambda to: payments.record(to, payment(amount=Money(True))), "whole number of cents"),
        (lambda to: payments.record(to, payment(amount=Money(1, "cad"))), "three capital letters"),
        (lambda to: payments.record(to, payment(amount=Money(1, "CAD\n"))), "three capital letters"),
    ],
)
async def test_bad_input_is_refused(
    database: Database, write: Callable[[Transaction], Awaitable[object]], message: str
) -> None:
    """Nothing is sent to PostgreSQL, so the caller's transaction goes on."""
    async with database.transaction() as transaction:
        with pytest.raises(InvalidFactsError, match=message):
            await write(transaction)

        assert 1 == await transaction.connection.fetchval("SELECT 1")


@given(st.integers(min_value=-MOST_CENTS, max_value=MOST_CENTS), st.sampled_from(["CAD", "USD", "JPY"]))
def test_every_amount_that_fits_is_taken(cents: int, currency: str) -> None:
    """Whatever the column holds is a valid amount."""
    Money(cents, currency).check()


def test_period_may_lie_in_the_past() -> None:
    """News of a payment may come late: the database's clock decides what is over, not ours."""
    Period(datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 2, 1, tzinfo=UTC)).check()
