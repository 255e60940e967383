"""The welcome e-mail: asked for once in the database, and sent at least once with a key that tells repeats.

Two handlers, because a rollback can't take back an e-mail: `welcome-email` writes the request in its effect's
transaction, exactly once; `send-email` hands the request to the sender, which knows it by the request's id.
"""

from dataclasses import dataclass

from sherpa.db.transaction import Transaction
from sherpa.events.event import Event, Received
from sherpa.events.handling.errors import PermanentError
from sherpa.events.publishing import publish
from sherpa.membership.emails.email import Email, EmailAddresses, EmailSender
from sherpa.membership.errors import EmailRefusedError, NoAddressError
from sherpa.membership.events import EmailRequested, MembershipCreated

SUBJECT = "Welcome to Choice Sherpa"
TEXT = """\
Welcome to Choice Sherpa.

Your membership is set up. Bring the decision that keeps you awake: we go through it together, step by step.

The people of Choice Sherpa
"""
HTML = "".join(f"<p>{paragraph}</p>" for paragraph in TEXT.strip().split("\n\n"))


async def request_welcome_email(transaction: Transaction, event: Received[MembershipCreated]) -> None:
    """Ask for the welcome e-mail to a new member."""
    request = EmailRequested(user_id=event.payload.user_id, subject=SUBJECT, text=TEXT, html=HTML)
    await publish(
        transaction,
        Event(
            aggregate_id=event.aggregate_id,
            payload=request,
            correlation_id=event.correlation_id or event.id,
            causation_id=event.id,
            traceparent=event.traceparent,
            tracestate=event.tracestate,
        ),
    )


@dataclass(frozen=True, slots=True)
class SendEmail:
    """Sends what was asked for."""

    sender: EmailSender
    addresses: EmailAddresses

    async def __call__(self, transaction: Transaction, event: Received[EmailRequested]) -> None:
        """Send one e-mail, with the request's id as its key.

        Raises PermanentError where it will never be accepted; NoAddressError and EmailError, to try again.
        """
        request = event.payload
        address = await self.addresses.find(transaction, request.user_id)
        if address is None:
            raise NoAddressError
        try:
            await self.sender.send(
                Email(key=event.id, to=address, subject=request.subject, text=request.text, html=request.html)
            )
        except EmailRefusedError as error:
            raise PermanentError(str(error)) from error
