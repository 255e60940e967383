"""Addresses for development and staging, where no letter may reach a real person."""

from uuid import UUID

from sherpa.db.transaction import Transaction


class TestAddresses:
    """Gives every user an address that Resend accepts and delivers to nobody.

    Source: Resend, "Send test emails": `delivered+label@resend.dev`.
    """

    __test__ = False  # no class of tests, whatever pytest thinks of its name

    async def find(self, transaction: Transaction, user_id: UUID) -> str | None:  # noqa: ARG002 - the port's
        """Return the same address for the same user, always."""
        return f"delivered+{user_id.hex}@resend.dev"
