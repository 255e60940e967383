"""What may happen to a membership: created, renewed, cancelled. The event goes with the change.

Each may be repeated by a caller who doesn't know whether it is done: nothing changes then, nothing is told.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from sherpa.db.tables.memberships import MembershipStatus, Tier
from sherpa.db.transaction import Transaction
from sherpa.events.publishing import publish
from sherpa.membership.errors import (
    AlreadyMemberError,
    InvalidFactsError,
    RepeatedDifferentlyError,
    TransitionError,
)
from sherpa.membership.events import MembershipCancelled, MembershipCreated, MembershipRenewed
from sherpa.membership.facts import Period, StripeIds, Terms, check_id
from sherpa.membership.membership import COLUMNS, Membership, from_row, lock, tell

# ruff: noqa: S608 - the columns are our own constant
# ON CONFLICT waits for whoever inserts the same user now. The error of a plain INSERT would end the caller's
# transaction.
_INSERT: Final = f"""
    INSERT INTO memberships (
        id, user_id, tier, status, current_period_start, current_period_end,
        stripe_customer_id, stripe_subscription_id
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""
_FIND_TAKEN: Final = f"""
    SELECT {COLUMNS} FROM memberships WHERE id = $1 OR user_id = $2 ORDER BY id <> $1 LIMIT 1
"""
_RENEW: Final = f"""
    UPDATE memberships
    SET tier = $2, status = 'active', current_period_start = $3, current_period_end = $4,
        stripe_customer_id = coalesce($5, stripe_customer_id),
        stripe_subscription_id = coalesce($6, stripe_subscription_id), updated_at = clock_timestamp()
    WHERE id = $1 RETURNING {COLUMNS}
"""
_CANCEL: Final = f"""
    UPDATE memberships SET status = 'cancelled', updated_at = clock_timestamp()
    WHERE id = $1 RETURNING {COLUMNS}
"""
_NOTHING = StripeIds()


async def create(
    transaction: Transaction,
    user_id: UUID,
    terms: Terms,
    *,
    membership_id: UUID | None = None,
    stripe: StripeIds = _NOTHING,
) -> Membership:
    """Make a user a member: `active`, or `pending` where the tier costs something and no period is paid.

    A repeat is known by its `membership_id`. Raises AlreadyMemberError, and RepeatedDifferentlyError where
    that id was given to something else.
    """
    wanted = membership_id or uuid7()
    check_id("A membership's id", wanted)
    check_id("A user's id", user_id)
    terms.check()
    stripe.check()
    row = await transaction.connection.fetchrow(
        _INSERT, wanted, user_id, terms.tier, _first_status(terms), *_ends(terms), *_ids(stripe)
    )
    if row is None:
        return await _find_repeated(transaction, wanted, user_id)
    created = from_row(row)
    await publish(transaction, tell(MembershipCreated, created))
    return created


async def renew(
    transaction: Transaction, membership_id: UUID, terms: Terms, *, stripe: StripeIds = _NOTHING
) -> Membership:
    """Make a membership active on these terms: paid on, paid for the first time, or taken up again.

    A period must end later than the one before, so that late news of an old payment changes nothing, and what
    is paid for becomes free only when it has expired. Stripe's ids stay where none are given.
    Raises MembershipNotFoundError, TransitionError, InvalidFactsError.
    """
    terms.check()
    stripe.check()
    if terms.tier is not Tier.FREE and terms.period is None:
        raise InvalidFactsError(f"A renewed {terms.tier} membership has a period.")
    before = await lock(transaction, membership_id)
    if before.status is MembershipStatus.ACTIVE and before.terms == terms:
        return before
    _check_later(before, terms.period)
    (row,) = await transaction.connection.fetch(
        _RENEW, membership_id, terms.tier, *_ends(terms), *_ids(stripe)
    )
    renewed = from_row(row)
    await publish(transaction, tell(MembershipRenewed, renewed))
    return renewed


async def cancel(transaction: Transaction, membership_id: UUID) -> Membership:
    """Take a member's notice. What is paid for stays theirs until the period's end, when it expires.

    Raises MembershipNotFoundError, and TransitionError where it has expired.
    """
    before = await lock(transaction, membership_id)
    if before.status is MembershipStatus.CANCELLED:
        return before
    if before.status is MembershipStatus.EXPIRED:
        raise TransitionError("This membership has expired: there is nothing left to cancel.")
    (row,) = await transaction.connection.fetch(_CANCEL, membership_id)
    cancelled = from_row(row)
    await publish(transaction, tell(MembershipCancelled, cancelled))
    return cancelled


async def _find_repeated(transaction: Transaction, wanted: UUID, user_id: UUID) -> Membership:
    row = await transaction.connection.fetchrow(_FIND_TAKEN, wanted, user_id)
    if row is None or row["id"] != wanted:
        raise AlreadyMemberError
    if row["user_id"] != user_id:
        raise RepeatedDifferentlyError(f"The membership {wanted} is another user's.")
    return from_row(row)


def _check_later(before: Membership, period: Period | None) -> None:
    paid = before.terms.period
    if paid and period and period.end <= paid.end:
        raise TransitionError(
            "This membership's period ends as late as that, or later: it is paid for already."
        )
    if paid and not period and before.status is not MembershipStatus.EXPIRED:
        raise TransitionError("This membership is paid for: cancel it, and make it free when it has expired.")


def _first_status(terms: Terms) -> MembershipStatus:
    is_unpaid = terms.tier is not Tier.FREE and terms.period is None
    return MembershipStatus.PENDING if is_unpaid else MembershipStatus.ACTIVE


def _ends(terms: Terms) -> tuple[datetime | None, datetime | None]:
    return (terms.period.start, terms.period.end) if terms.period else (None, None)


def _ids(stripe: StripeIds) -> tuple[str | None, str | None]:
    return stripe.customer, stripe.subscription
