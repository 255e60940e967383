"""What the API reads: a membership, and a member's history. Nothing is locked and nothing is changed."""

from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg.pool import PoolConnectionProxy

from sherpa.membership import membership, payments
from sherpa.membership.membership import Membership
from sherpa.membership.payments import RecordedPayment

# ruff: noqa: S608 - the columns are our own constants
_BY_ID: Final = f"SELECT {membership.COLUMNS} FROM memberships WHERE id = $1"
_BY_USER: Final = f"SELECT {membership.COLUMNS} FROM memberships WHERE user_id = $1"
_BY_CUSTOMER: Final = f"SELECT {membership.COLUMNS} FROM memberships WHERE stripe_customer_id = $1"
# The index leads by (membership_id, created_at DESC); `id` parts the payments of one microsecond.
_PAYMENTS: Final = f"""
    SELECT {payments.COLUMNS} FROM billing_history
    WHERE membership_id = $1 AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $2
"""


async def find(connection: PoolConnectionProxy, membership_id: UUID) -> Membership | None:
    """Return the membership, if there is one."""
    row = await connection.fetchrow(_BY_ID, membership_id)
    return membership.from_row(row) if row else None


async def find_of_user(connection: PoolConnectionProxy, user_id: UUID) -> Membership | None:
    """Return the user's membership, if there is one."""
    row = await connection.fetchrow(_BY_USER, user_id)
    return membership.from_row(row) if row else None


async def find_of_customer(connection: PoolConnectionProxy, stripe_customer_id: str) -> Membership | None:
    """Return the membership of a customer at Stripe, whose webhooks know nothing else of us."""
    row = await connection.fetchrow(_BY_CUSTOMER, stripe_customer_id)
    return membership.from_row(row) if row else None


async def list_payments(
    connection: PoolConnectionProxy,
    membership_id: UUID,
    *,
    limit: int = 50,
    before: RecordedPayment | None = None,
) -> tuple[RecordedPayment, ...]:
    """Return a member's history, newest first; `before` is the last one of the page before."""
    since: tuple[datetime | None, UUID | None] = (
        (before.recorded_at, before.payment.id) if before else (None, None)
    )
    rows = await connection.fetch(_PAYMENTS, membership_id, limit, *since)
    return tuple(payments.from_row(row) for row in rows)
