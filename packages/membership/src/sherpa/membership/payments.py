"""What happened to a member's money: rows that are added and never changed, each with its event."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from sherpa.db.transaction import Transaction
from sherpa.events.event import Event
from sherpa.events.publishing import publish
from sherpa.membership.errors import RepeatedDifferentlyError
from sherpa.membership.events import PaymentRecorded
from sherpa.membership.facts import DEFAULT_CURRENCY, Money, check_id, check_text
from sherpa.membership.membership import lock

COLUMNS: Final = (
    "id, membership_id, event_type, amount_cents, currency, stripe_invoice_id, description, created_at"
)
# ruff: noqa: S608 - the columns are our own constant
_INSERT: Final = f"""
    INSERT INTO billing_history (
        id, membership_id, event_type, amount_cents, currency, stripe_invoice_id, description, created_at
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())
    ON CONFLICT (id) DO NOTHING RETURNING {COLUMNS}
"""
_FIND: Final = f"SELECT {COLUMNS} FROM billing_history WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Something that happened to a member's money; the caller chooses `id`, by which a repeat is known.

    `kind` is the caller's word for it, as in `invoice.paid`. `amount` is None where no money moved.
    """

    id: UUID
    membership_id: UUID
    kind: str
    amount: Money | None = None
    stripe_invoice_id: str | None = None
    description: str | None = None

    def check(self) -> None:
        """Raise InvalidFactsError where it can't be kept."""
        check_id("A payment's id", self.id)
        if self.amount:
            self.amount.check()
        check_text("A payment's kind", self.kind or "", most=50)
        check_text("Stripe's invoice id", self.stripe_invoice_id, most=255)
        check_text("A payment's description", self.description, most=10_000)


@dataclass(frozen=True, slots=True)
class RecordedPayment:
    """A payment as it stands in the history. `recorded_at` is the database's clock, in UTC."""

    payment: Payment
    recorded_at: datetime


async def record(transaction: Transaction, payment: Payment) -> RecordedPayment:
    """Add the payment to the member's history. A repeat returns what is there and tells nothing.

    Raises MembershipNotFoundError, and RepeatedDifferentlyError where its id stands for other facts.
    """
    payment.check()
    await lock(transaction, payment.membership_id)
    row = await transaction.connection.fetchrow(_INSERT, *_values(payment))
    if row is None:
        return await _find_repeated(transaction, payment)
    cents, currency = _money(payment)
    told = PaymentRecorded(payment_id=payment.id, kind=payment.kind, amount_cents=cents, currency=currency)
    await publish(transaction, Event(aggregate_id=payment.membership_id, payload=told))
    return from_row(row)


def from_row(row: asyncpg.Record) -> RecordedPayment:
    """Make a recorded payment of a row with COLUMNS."""
    cents = row["amount_cents"]
    payment = Payment(
        id=row["id"],
        membership_id=row["membership_id"],
        kind=row["event_type"],
        amount=None if cents is None else Money(cents, row["currency"] or DEFAULT_CURRENCY),
        stripe_invoice_id=row["stripe_invoice_id"],
        description=row["description"],
    )
    return RecordedPayment(payment, row["created_at"])


async def _find_repeated(transaction: Transaction, payment: Payment) -> RecordedPayment:
    (row,) = await transaction.connection.fetch(_FIND, payment.id)
    recorded = from_row(row)
    if recorded.payment != payment:
        raise RepeatedDifferentlyError(f"The payment {payment.id} was recorded before, with other facts.")
    return recorded


def _money(payment: Payment) -> tuple[int | None, str | None]:
    return (payment.amount.cents, payment.amount.currency) if payment.amount else (None, None)


def _values(payment: Payment) -> tuple[UUID | str | int | None, ...]:
    return (
        payment.id,
        payment.membership_id,
        payment.kind,
        *_money(payment),
        payment.stripe_invoice_id,
        payment.description,
    )
