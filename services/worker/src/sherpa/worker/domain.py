"""The domain's handlers with what they need from outside, where e-mails go, and the domain's duties."""

from contextlib import AsyncExitStack
from pathlib import Path

from sherpa.config import EmailSettings, Environment
from sherpa.db.engine import Database
from sherpa.events.handling.handler import Handler
from sherpa.membership.emails.addresses import TestAddresses
from sherpa.membership.emails.email import EmailSender
from sherpa.membership.emails.folder import FolderSender
from sherpa.membership.emails.resend import ResendSender
from sherpa.membership.expiry import expire_due
from sherpa.membership.handlers import EmailPorts, Ports, handlers
from sherpa.telemetry.logging import get_logger
from sherpa.worker.duties import Duty
from sherpa.worker.settings import ProcessSettings

OUTGOING = Path(".sherpa/outgoing")
"""Where e-mails are written when nobody is to send them, below the working directory."""

_log = get_logger(__name__)


def domain_handlers(settings: ProcessSettings, resources: AsyncExitStack) -> tuple[Handler, ...]:
    """Return the handlers; what they keep open is closed with `resources`."""
    return handlers(Ports(email=_email_ports(settings, resources)))


def domain_duties(settings: ProcessSettings) -> tuple[Duty, ...]:
    """Return what the domain wants done every so often."""
    return (Duty("expire-memberships", settings.worker.expiry_seconds, _expire),)


async def _expire(database: Database) -> int:
    async with database.transaction() as transaction:
        return len(await expire_due(transaction))


def _email_ports(settings: ProcessSettings, resources: AsyncExitStack) -> EmailPorts | None:
    if settings.server.environment is Environment.PRODUCTION:
        # Addresses are Zitadel's to tell, and nothing asks it yet: requests wait in the outbox's streams.
        _log.warning("nobody knows the members' addresses: e-mails are asked for and not sent")
        return None
    return EmailPorts(sender=_sender(settings.email, resources), addresses=TestAddresses())


def _sender(settings: EmailSettings | None, resources: AsyncExitStack) -> EmailSender:
    if settings is None:
        return FolderSender(OUTGOING)
    sender = ResendSender(settings)
    resources.push_async_exit(sender)
    return sender
