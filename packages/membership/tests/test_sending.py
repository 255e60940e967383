"""What a sender says of an e-mail decides whether its request is tried again."""

from dataclasses import dataclass
from uuid import uuid4

import pytest

from packages.membership.tests.conftest import START
from sherpa.db.engine import Database
from sherpa.events.event import Received
from sherpa.events.handling.errors import PermanentError
from sherpa.membership.emails.addresses import TestAddresses
from sherpa.membership.emails.email import Email
from sherpa.membership.errors import (
    EmailError,
    EmailRefusedError,
    EmailSettingsError,
    EmailUnavailableError,
)
from sherpa.membership.events import EmailRequested
from sherpa.membership.welcome import SendEmail


@dataclass(frozen=True)
class Failing:
    """Sends nothing."""

    error: EmailError

    async def send(self, email: Email) -> None:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EmailRefusedError("422 no such address"), PermanentError),
        (EmailSettingsError("403 no such key"), EmailSettingsError),
        (EmailUnavailableError("503 away"), EmailUnavailableError),
    ],
)
async def test_only_a_refused_email_is_given_up(
    database: Database, error: EmailError, expected: type[Exception]
) -> None:
    """What passes by itself, or when settings are corrected, is tried again; the words are the sender's."""
    request = EmailRequested(user_id=uuid4(), subject="Hi", text="Hi", html="Hi")
    event = Received(aggregate_id=uuid4(), payload=request, occurred_at=START)

    with pytest.raises(expected, match=str(error)):
        async with database.transaction() as transaction:
            await SendEmail(Failing(error), TestAddresses())(transaction, event)
