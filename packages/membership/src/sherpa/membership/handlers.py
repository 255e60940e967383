"""The domain's handlers, for the worker to run: `handlers(ports)` is all that it needs to know of them."""

from dataclasses import dataclass

from sherpa.events.handling.handler import Backoff, Handler, OnFailure
from sherpa.membership.emails.email import EmailAddresses, EmailSender
from sherpa.membership.events import EmailRequested, MembershipCreated
from sherpa.membership.welcome import SendEmail, request_welcome_email

# 12 attempts within 33 minutes: far less than the 24 hours for which Resend remembers a key.
_ATTEMPTS = 12
_BACKOFF = Backoff(first_seconds=1.0, factor=2.0, most_seconds=600.0)
# More than a sender takes to give up (emails/resend.py), so that its own error is the one that is recorded.
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPorts:
    """How people are written to."""

    sender: EmailSender
    addresses: EmailAddresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the handlers need from outside. Without `email`, e-mails are asked for and not sent."""

    email: EmailPorts | None


def handlers(ports: Ports) -> tuple[Handler, ...]:
    """Return the handlers that these ports can serve."""
    welcome = Handler(name="welcome-email", takes=(MembershipCreated,), handle=request_welcome_email)
    return (welcome,) if ports.email is None else (welcome, _send_email(ports.email))


def _send_email(email: EmailPorts) -> Handler:
    return Handler(
        name="send-email",
        takes=(EmailRequested,),
        handle=SendEmail(email.sender, email.addresses),
        # An e-mail that can't be delivered must not keep the next one from the member.
        on_failure=OnFailure.SKIP,
        attempts=_ATTEMPTS,
        backoff=_BACKOFF,
        timeout_seconds=_TIMEOUT_SECONDS,
        # Resend takes two requests a second by default: one at a time is as fast as that.
        concurrency=1,
    )
