"""E-mails that go nowhere: for tests that ask what was sent."""

from uuid import UUID

from sherpa.membership.emails.email import Email


class MemorySender:
    """Keeps e-mails by their keys, in `sent`."""

    def __init__(self) -> None:
        self.sent: dict[UUID, Email] = {}

    async def send(self, email: Email) -> None:
        """Keep the e-mail; a repeat takes the place of the first one."""
        self.sent[email.key] = email
