"""The membership aggregate: who is a member on which terms, and what was billed."""

from enum import StrEnum
from typing import ClassVar

from piccolo.columns import UUID, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.defaults.uuid import UUID4
from piccolo.constraints import Unique
from piccolo.table import Table

from sherpa.db.tables.schema import ServerNow, one_of


class Tier(StrEnum):
    """What a membership costs: nothing, so much a month, or so much a year."""

    FREE = "free"
    MONTHLY = "monthly"
    ANNUAL = "annual"


class MembershipStatus(StrEnum):
    """Where a membership stands."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PENDING = "pending"


class Memberships(Table, tablename="memberships"):
    """One user's membership. Its id is chosen by the domain, so it has no default."""

    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    tier = Varchar(length=20, default=None, choices=Tier)
    status = Varchar(length=20, default=None, choices=MembershipStatus)
    stripe_customer_id = Varchar(length=255, null=True, default=None)
    stripe_subscription_id = Varchar(length=255, null=True, default=None)
    current_period_start = Timestamptz(null=True, default=None)
    current_period_end = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=ServerNow())
    updated_at = Timestamptz(default=ServerNow())

    memberships_user_id_key = Unique([user_id])
    memberships_tier_check = one_of("tier", Tier, name="memberships_tier_check")
    memberships_status_check = one_of("status", MembershipStatus, name="memberships_status_check")

    ddl_indexes: ClassVar[tuple[str, ...]] = (
        (
            "CREATE INDEX idx_memberships_stripe_customer ON memberships (stripe_customer_id) "
            "WHERE stripe_customer_id IS NOT NULL"
        ),
        (
            "CREATE INDEX idx_memberships_period_end ON memberships (current_period_end) "
            "WHERE status IN ('active', 'cancelled') AND current_period_end IS NOT NULL"
        ),
    )


class BillingHistory(Table, tablename="billing_history"):
    """One thing that happened to a member's money; rows are added, never changed."""

    id = UUID(primary_key=True, default=UUID4())
    membership_id = ForeignKey(
        Memberships, null=False, on_delete=OnDelete.no_action, on_update=OnUpdate.no_action
    )
    event_type = Varchar(length=50, default=None)
    amount_cents = Integer(null=True, default=None)
    currency = Varchar(length=3, null=True, default="CAD")
    stripe_invoice_id = Varchar(length=255, null=True, default=None)
    description = Text(null=True, default=None)
    created_at = Timestamptz(default=ServerNow())

    ddl_indexes: ClassVar[tuple[str, ...]] = (
        "CREATE INDEX idx_billing_history_membership ON billing_history (membership_id, created_at DESC)",
    )
