"""The aggregate: a membership as its row says, and the way to it that orders all that happens to it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from sherpa.db.tables.memberships import MembershipStatus, Tier
from sherpa.db.transaction import Transaction
from sherpa.events.event import Event
from sherpa.membership.errors import MembershipNotFoundError
from sherpa.membership.events import MembershipPayload
from sherpa.membership.facts import Period, StripeIds, Terms, check_id

COLUMNS = (
    "id, user_id, tier, status, stripe_customer_id, stripe_subscription_id,"
    " current_period_start, current_period_end, created_at, updated_at"
)
# NO KEY: whoever adds a row that refers to this one need not wait.
_LOCK = f"SELECT {COLUMNS} FROM memberships WHERE id = $1 FOR NO KEY UPDATE"  # noqa: S608 - our own columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user's membership. Times are the database's, in UTC."""

    id: UUID
    user_id: UUID
    terms: Terms
    status: MembershipStatus
    stripe: StripeIds
    created_at: datetime
    updated_at: datetime


def from_row(row: asyncpg.Record) -> Membership:
    """Make a membership of a row with COLUMNS."""
    return Membership(
        id=row["id"],
        user_id=row["user_id"],
        terms=Terms(Tier(row["tier"]), _period(row)),
        status=MembershipStatus(row["status"]),
        stripe=StripeIds(customer=row["stripe_customer_id"], subscription=row["stripe_subscription_id"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def lock(transaction: Transaction, membership_id: UUID) -> Membership:
    """Return the membership, locked until the transaction's end, so that its events come one after another.

    Raises MembershipNotFoundError.
    """
    check_id("A membership's id", membership_id)
    row = await transaction.connection.fetchrow(_LOCK, membership_id)
    if row is None:
        raise MembershipNotFoundError(f"There is no membership {membership_id}.")
    return from_row(row)


def tell[P: MembershipPayload](kind: type[P], membership: Membership) -> Event[P]:
    """Make the event of that kind, which tells how the membership stands now."""
    period = membership.terms.period
    payload = kind(
        user_id=membership.user_id,
        tier=membership.terms.tier,
        status=membership.status,
        period_start=period.start if period else None,
        period_end=period.end if period else None,
    )
    return Event(aggregate_id=membership.id, payload=payload)


def _period(row: asyncpg.Record) -> Period | None:
    start, end = row["current_period_start"], row["current_period_end"]
    return None if start is None or end is None else Period(start, end)
