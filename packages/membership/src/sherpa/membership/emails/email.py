"""What the domain needs in order to write to people: a sender and an address book, each behind a Protocol."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sherpa.db.transaction import Transaction
from sherpa.membership.errors import EmailRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """An e-mail to one person. `key` tells a repeat: the id of the event that asked for the e-mail.

    Raises EmailRefusedError where address or subject could not be a header of an e-mail.
    """

    key: UUID
    to: str
    subject: str
    text: str
    html: str

    def __post_init__(self) -> None:
        for name, text in (("address", self.to), ("subject", self.subject)):
            if not text or not text.isprintable():
                raise EmailRefusedError(f"An e-mail's {name} must be one line of printable letters.")


class EmailSender(Protocol):
    """Sends e-mails. Whatever implements it passes `tests/emails/test_contract.py`."""

    async def send(self, email: Email) -> None:
        """Send the e-mail, once per key as far as the other side remembers keys.

        Raises EmailRefusedError, where sending it again can't help; EmailUnavailableError and
        EmailSettingsError, where it may, later or when somebody has corrected the settings.
        """
        ...


class EmailAddresses(Protocol):
    """Knows where a user reads e-mail. No table of ours does: sign-in, and so the address, is Zitadel's."""

    async def find(self, transaction: Transaction, user_id: UUID) -> str | None:
        """Return the user's address, None for a user without one; `transaction` is the handler's."""
        ...
