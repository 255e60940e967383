"""What the domain tells: the types of its events and their facts, which stay readable for other languages.

All belong to the aggregate `membership`, so that what happens to one membership is handled in its order.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sherpa.db.tables.memberships import MembershipStatus, Tier
from sherpa.events.event import Payload


class MembershipPayload(Payload, frozen=True, kw_only=True):
    """What every event of a membership says: whose it is, and how it stands after the event.

    The period is empty for a free membership, and for one that awaits its first payment.
    """

    aggregate_type: ClassVar[str] = "membership"

    user_id: UUID
    tier: Tier
    status: MembershipStatus
    period_start: datetime | None = None
    period_end: datetime | None = None


class MembershipCreated(MembershipPayload, frozen=True, kw_only=True):
    """A user became a member: `active`, or `pending` until the first payment."""

    event_type: ClassVar[str] = "membership.created"


class MembershipRenewed(MembershipPayload, frozen=True, kw_only=True):
    """A membership is active on new terms; a former one, or one that awaited its payment, is active again."""

    event_type: ClassVar[str] = "membership.renewed"


class MembershipCancelled(MembershipPayload, frozen=True, kw_only=True):
    """A member gave notice; what is paid for stays theirs until the period's end."""

    event_type: ClassVar[str] = "membership.cancelled"


class MembershipExpired(MembershipPayload, frozen=True, kw_only=True):
    """The period of a membership is over, and nobody renewed it."""

    event_type: ClassVar[str] = "membership.expired"


class PaymentRecorded(Payload, frozen=True, kw_only=True):
    """Something happened to a member's money; negative cents went back. Empty where no money moved."""

    event_type: ClassVar[str] = "payment.recorded"
    aggregate_type: ClassVar[str] = "membership"

    payment_id: UUID
    kind: str
    amount_cents: int | None = None
    currency: str | None = None


class EmailRequested(Payload, frozen=True, kw_only=True):
    """A user is to be written to. Content, but no address: that is looked up when the e-mail is sent."""

    event_type: ClassVar[str] = "email.requested"
    aggregate_type: ClassVar[str] = "membership"

    user_id: UUID
    subject: str
    text: str
    html: str
