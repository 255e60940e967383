"""The welcome e-mail is asked for in the database and handed to the sender under the request's id."""

from dataclasses import replace
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from packages.membership.tests.conftest import START, Join
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.backoff import longest_retries
from sherpa.events.handling.checks import check_handlers
from sherpa.events.handling.handler import Handle, Handler, OnFailure
from sherpa.membership.emails.addresses import TestAddresses
from sherpa.membership.emails.email import EmailAddresses
from sherpa.membership.emails.memory import MemorySender
from sherpa.membership.errors import NoAddressError
from sherpa.membership.events import EmailRequested
from sherpa.membership.handlers import EmailPorts, Ports, handlers

RESEND_KNOWS_KEYS_SECONDS = 24 * 3600


class NoAddresses:
    """Knows no address of anybody."""

    async def find(self, transaction: Transaction, user_id: UUID) -> str | None:
        """Return None."""
        return None


def declared(sender: MemorySender, addresses: EmailAddresses | None = None) -> tuple[Handler, Handler]:
    """Return those that welcome and that send, among whatever else the domain declares."""
    ports = Ports(email=EmailPorts(sender=sender, addresses=addresses or TestAddresses()))
    by_name = {each.name: each for each in handlers(ports)}
    return by_name["welcome-email"], by_name["send-email"]


async def handle(database: Database, handler: Handler, event: Received[Any]) -> None:
    """Run an EACH handler for one event, and commit."""
    async with database.transaction() as transaction:
        await cast("Handle", handler.handle)(transaction, event)


async def newest(connection: asyncpg.Connection, handler: Handler) -> Received[Any]:
    """Return the outbox's last event, as the handler gets it."""
    row = await connection.fetchrow("SELECT * FROM outbox ORDER BY created_at DESC, id DESC LIMIT 1")
    assert row
    (payload,) = handler.takes
    return Received(
        id=row["id"],
        aggregate_id=row["aggregate_id"],
        payload=msgspec.json.decode(row["payload"], type=payload),
        occurred_at=row["created_at"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
    )


async def test_new_member_is_welcomed(database: Database, connection: asyncpg.Connection, join: Join) -> None:
    """A created membership leads to a request, and the request to an e-mail under its id."""
    sender = MemorySender()
    welcome, send = declared(sender)
    member = await join()

    created = await newest(connection, welcome)
    await handle(database, welcome, created)
    request = await newest(connection, send)
    await handle(database, send, request)

    (email,) = sender.sent.values()
    assert (request.id, f"delivered+{member.user_id.hex}@resend.dev") == (email.key, email.to)
    assert "Welcome to Choice Sherpa" == email.subject
    assert member.id == request.aggregate_id


async def test_request_says_what_led_to_it(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """The request goes on with the trace of the event that caused it, and names it."""
    welcome, send = declared(MemorySender())
    await join()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    created = replace(await newest(connection, welcome), traceparent=trace)

    await handle(database, welcome, created)

    request = await newest(connection, send)
    assert (created.id, created.id, trace) == (
        request.causation_id,
        request.correlation_id,
        request.traceparent,
    )


async def test_request_holds_no_address(
    database: Database, connection: asyncpg.Connection, join: Join
) -> None:
    """Nobody's address is in the outbox, or in the streams."""
    welcome, _ = declared(MemorySender())
    await join()

    await handle(database, welcome, await newest(connection, welcome))

    assert 0 == await connection.fetchval("SELECT count(*) FROM outbox WHERE payload::text LIKE '%@%'")


async def test_unknown_address_is_an_error(database: Database) -> None:
    """A request for a user without an address fails and says so: it is not dropped."""
    _, send = declared(MemorySender(), NoAddresses())
    request = EmailRequested(user_id=uuid4(), subject="Hi", text="Hi", html="Hi")
    event = Received(aggregate_id=uuid4(), payload=request, occurred_at=START)

    with pytest.raises(NoAddressError):
        await handle(database, send, event)


def test_without_ports_it_is_only_asked_for() -> None:
    """A process that can't send still writes the requests, for one that can."""
    names = {each.name for each in handlers(Ports(email=None))}

    assert {"welcome-email"} == names & {"welcome-email", "send-email"}


def test_declarations_hold() -> None:
    """They fit together, a lost e-mail holds up no other, and Resend knows the key at each attempt."""
    ports = Ports(email=EmailPorts(sender=MemorySender(), addresses=TestAddresses()))
    welcome, send = declared(MemorySender())

    check_handlers(handlers(ports))

    assert (OnFailure.BLOCK, OnFailure.SKIP) == (welcome.on_failure, send.on_failure)
    assert longest_retries(send).total_seconds() < RESEND_KNOWS_KEYS_SECONDS
