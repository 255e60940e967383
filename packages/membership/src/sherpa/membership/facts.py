"""The values that memberships and payments are made of, and what they must be before anything is written.

Reading checks nothing: a row that somebody else has written must not stop the others.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sherpa.db.tables.memberships import Tier
from sherpa.membership.errors import InvalidFactsError

# billing_history.amount_cents is an integer of four bytes.
MOST_CENTS = 2**31 - 1
DEFAULT_CURRENCY = "CAD"
_CURRENCY = re.compile("[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Period:
    """What is paid for: from `start` until before `end`, both with a time zone."""

    start: datetime
    end: datetime

    def check(self) -> None:
        """Raise InvalidFactsError where it can't be kept."""
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InvalidFactsError("A period's start and end must have a time zone.")
        if self.start >= self.end:
            raise InvalidFactsError("A period must end after its start.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a membership costs, and for which time it is paid. A free one has no period."""

    tier: Tier
    period: Period | None = None

    def check(self) -> None:
        """Raise InvalidFactsError where it can't be kept."""
        if not isinstance(self.tier, Tier):
            raise InvalidFactsError(f"A membership's tier is one of {', '.join(Tier)}.")
        if self.tier is Tier.FREE and self.period:
            raise InvalidFactsError("A free membership has no period: nothing ends.")
        if self.period:
            self.period.check()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency's smallest unit (ISO 4217), of either sign: a refund is negative."""

    cents: int
    currency: str = DEFAULT_CURRENCY

    def check(self) -> None:
        """Raise InvalidFactsError where it can't be kept."""
        if type(self.cents) is not int or abs(self.cents) > MOST_CENTS:
            raise InvalidFactsError(f"An amount is a whole number of cents, at most {MOST_CENTS}.")
        if not _CURRENCY.fullmatch(self.currency):
            raise InvalidFactsError("A currency is three capital letters, as in CAD.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeIds:
    """The names of the customer and the subscription at Stripe; a free member has neither."""

    customer: str | None = None
    subscription: str | None = None

    def check(self) -> None:
        """Raise InvalidFactsError where it can't be kept."""
        check_text("Stripe's customer id", self.customer, most=255)
        check_text("Stripe's subscription id", self.subscription, most=255)


def check_id(name: str, value: object) -> None:
    """Raise InvalidFactsError for what is no UUID."""
    if not isinstance(value, UUID):
        raise InvalidFactsError(f"{name} must be a UUID; it is of type {type(value).__name__}.")


def check_text(name: str, text: object, *, most: int) -> None:
    """Raise InvalidFactsError where a text is empty, too long, or holds what PostgreSQL can't store."""
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidFactsError(f"{name} must be a text; it is of type {type(text).__name__}.")
    if not text.strip() or len(text) > most:
        raise InvalidFactsError(f"{name} must have 1 to {most} letters; it has {len(text)}.")
    if "\0" in text:
        raise InvalidFactsError(f"{name} holds a NUL, which PostgreSQL can't store.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidFactsError(f"{name} holds half a letter (a lone surrogate), which UTF-8 can't write.")
