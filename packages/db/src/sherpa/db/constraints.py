"""The rules of the schema by their names: which error tells the caller that one of them was broken."""

from typing import Final

import asyncpg

from sherpa.db.errors import ConstraintError


class OutboxEventExistsError(ConstraintError):
    """An event with this id is in the outbox already."""


class EventAlreadyProcessedError(ConstraintError):
    """The handler processed the event before: the work is done, nothing is to be repeated."""


class FailedEventExistsError(ConstraintError):
    """The handler has recorded this event as failed before: change that row."""


class UnknownFailureStatusError(ConstraintError):
    """The failed event's status is none of those that exist: retrying, waiting, dead."""


class MembershipExistsError(ConstraintError):
    """A membership with this id exists already."""


class UserHasMembershipError(ConstraintError):
    """The user has a membership already: there is one per user."""


class UnknownTierError(ConstraintError):
    """The membership's tier is none of those that exist: free, monthly, annual."""


class UnknownStatusError(ConstraintError):
    """The membership's status is none of those that exist: active, cancelled, expired, pending."""


class BillingEntryExistsError(ConstraintError):
    """A billing entry with this id exists already."""


class BillingWithoutMembershipError(ConstraintError):
    """A billing entry would be left without the membership that it belongs to."""


CONSTRAINTS: Final[dict[str, type[ConstraintError]]] = {
    "outbox_pkey": OutboxEventExistsError,
    "processed_events_pkey": EventAlreadyProcessedError,
    "failed_events_pkey": FailedEventExistsError,
    "failed_events_status_check": UnknownFailureStatusError,
    "memberships_pkey": MembershipExistsError,
    "memberships_user_id_key": UserHasMembershipError,
    "memberships_tier_check": UnknownTierError,
    "memberships_status_check": UnknownStatusError,
    "billing_history_pkey": BillingEntryExistsError,
    "billing_history_membership_id_fkey": BillingWithoutMembershipError,
}
"""Every named constraint of the schema; a test holds it equal to the migrated database's catalogue."""


def violation(error: asyncpg.PostgresError) -> ConstraintError:
    """Return the error of the rule that PostgreSQL names, the general one for a rule without a name."""
    constraint: str = error.constraint_name or ""
    kind = CONSTRAINTS.get(constraint, ConstraintError)
    return kind(constraint=constraint, table=error.table_name or "", column=error.column_name or "")
