"""From a change to the member's mailbox, through outbox, relay, Redis and handlers: one e-mail each."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.membership.tests.conftest import Join
from packages.membership.tests.emails.conftest import read_folder
from sherpa.config import DatabaseSettings, EventsSettings, RedisSettings
from sherpa.db.engine import Database
from sherpa.db.tables.memberships import Tier
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.handling import outcome as handling
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Backoff
from sherpa.events.metrics import Metrics
from sherpa.events.relay import outcome as relaying
from sherpa.events.relay.relay import Relay
from sherpa.membership import memberships
from sherpa.membership.emails.addresses import TestAddresses
from sherpa.membership.emails.email import Email
from sherpa.membership.emails.folder import FolderSender
from sherpa.membership.errors import EmailRefusedError, EmailUnavailableError
from sherpa.membership.facts import Terms
from sherpa.membership.handlers import EmailPorts, Ports, handlers

AT_ONCE = Backoff(first_seconds=0.0, most_seconds=0.0)
MOST_STEPS = 500
UNFINISHED = """
    SELECT EXISTS (SELECT FROM outbox WHERE processed_at IS NULL)
        OR EXISTS (SELECT FROM failed_events WHERE status <> 'dead')
"""


@dataclass
class Mailer:
    """Sends into a folder, and fails as often as it is told to: before it has sent, or after."""

    folder: Path
    fails_before: int = 0
    fails_after: int = 0
    refuses: bool = False
    sent: list[UUID] = field(default_factory=list)

    async def send(self, email: Email) -> None:
        """Send, or fail."""
        if self.refuses:
            raise EmailRefusedError("Resend answered 422 (validation_error: Invalid `to` field.).")
        if self.fails_before:
            self.fails_before -= 1
            raise EmailUnavailableError
        await FolderSender(self.folder).send(email)
        self.sent.append(email.key)
        if self.fails_after:
            self.fails_after -= 1
            raise EmailUnavailableError

    def mailbox(self) -> list[Email]:
        """Return what is in the folder."""
        return read_folder(self.folder) if self.folder.exists() else []


@dataclass
class Worker:
    """A relay and the domain's handlers, moved by hand."""

    relay: Relay
    consumers: list[Consumer]
    connection: asyncpg.Connection

    async def work(self) -> None:
        """Step until nothing is left to do: what a handler tells, or has failed at, is work, too."""
        for _ in range(MOST_STEPS):
            await self._until(self.relay, relaying.Outcome.IDLE)
            for each in self.consumers:
                await self._until(each, handling.Outcome.IDLE)
            if not await self.connection.fetchval(UNFINISHED):
                return
        pytest.fail("There is always something left to do.")

    async def _until(self, post: Relay | Consumer, end: relaying.Outcome | handling.Outcome) -> None:
        for _ in range(MOST_STEPS):
            if await post.step() is end:
                return
        pytest.fail(f"{post} never came to {end}.")


@pytest.fixture
def mailer(tmp_path: Path) -> Mailer:
    """Return a sender that works."""
    return Mailer(tmp_path / "outgoing")


@pytest.fixture
async def broker(redis_settings: RedisSettings) -> AsyncIterator[Broker]:
    """Return the broker on a real server."""
    broker = connect(redis_settings)
    yield broker
    await broker.close()


@pytest.fixture
async def worker(
    database: Database,
    database_settings: DatabaseSettings,
    connection: asyncpg.Connection,
    broker: Broker,
    mailer: Mailer,
) -> AsyncIterator[Worker]:
    """Return a worker with the domain's handlers, which try again at once."""
    metrics, alone = Metrics(), asyncio.Lock()
    relay = Relay(database_settings, broker, settings=EventsSettings(), metrics=metrics)
    declared = handlers(Ports(email=EmailPorts(sender=mailer, addresses=TestAddresses())))
    consumers = [
        Consumer(
            replace(handler, backoff=AT_ONCE),
            0,
            partitions=1,
            database=database,
            broker=broker,
            metrics=metrics,
            alone=alone,
        )
        for handler in declared
    ]
    yield Worker(relay, consumers, connection)
    for each in consumers:
        await each.leave()
    await relay.close()


async def test_members_are_welcomed(database: Database, join: Join, worker: Worker, mailer: Mailer) -> None:
    """Each member whose transaction committed has one e-mail, and who was rolled back has none."""
    members = [await join() for _ in range(3)]
    async with database.transaction() as transaction:
        await memberships.create(transaction, uuid4(), Terms(Tier.FREE))
        await transaction.rollback()

    await worker.work()

    expected = sorted(f"delivered+{member.user_id.hex}@resend.dev" for member in members)
    assert expected == sorted(email.to for email in mailer.mailbox())


async def test_replay_welcomes_nobody_twice(
    connection: asyncpg.Connection, join: Join, worker: Worker, mailer: Mailer
) -> None:
    """Events that are published again find that their work is done."""
    await join()
    await worker.work()

    await connection.execute("UPDATE outbox SET processed_at = NULL")
    await worker.work()

    assert 1 == len(mailer.sent) == len(mailer.mailbox())
    assert 2 == await connection.fetchval("SELECT count(*) FROM outbox")


async def test_failed_email_is_sent_later(join: Join, worker: Worker, mailer: Mailer) -> None:
    """A sender that is away twice has sent one e-mail in the end."""
    mailer.fails_before = 2
    await join()

    await worker.work()

    assert 1 == len(mailer.sent) == len(mailer.mailbox())


async def test_email_that_was_sent_unheard_keeps_its_key(join: Join, worker: Worker, mailer: Mailer) -> None:
    """When nobody hears that it was sent, it is sent again under the same key: the mailbox has one."""
    mailer.fails_after = 1
    await join()

    await worker.work()

    first, again = mailer.sent
    assert first == again
    assert 1 == len(mailer.mailbox())


async def test_undeliverable_email_becomes_a_dead_letter(
    connection: asyncpg.Connection, join: Join, worker: Worker, mailer: Mailer
) -> None:
    """After its attempts the request is kept with its error, and other members' e-mails are sent."""
    mailer.fails_before = 12
    await join()
    await worker.work()

    await join()
    await worker.work()

    (letter,) = await connection.fetch("SELECT handler_name, status, attempts, error FROM failed_events")
    assert ("send-email", "dead", 12) == tuple(letter)[:3]
    assert "EmailUnavailableError: The e-mail may be sent later" in letter["error"]
    assert 1 == len(mailer.mailbox())


async def test_refused_email_is_a_dead_letter_at_once(
    connection: asyncpg.Connection, join: Join, worker: Worker, mailer: Mailer
) -> None:
    """An e-mail that will never be accepted is given up after one attempt, with the sender's own words."""
    mailer.refuses = True
    await join()

    await worker.work()

    (letter,) = await connection.fetch("SELECT handler_name, status, attempts, error FROM failed_events")
    assert ("send-email", "dead", 1) == tuple(letter)[:3]
    assert letter["error"].endswith(
        "PermanentError: Resend answered 422 (validation_error: Invalid `to` field.)."
    )
