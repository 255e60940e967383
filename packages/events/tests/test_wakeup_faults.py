"""Whatever keeps a wake-up from being sent, the caller's commit is neither failed nor delayed by it."""

import asyncio
import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar
from uuid import uuid4

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret, ServiceUrl, SslMode
from sherpa.db.engine import Database
from sherpa.db.migrations.runner import migrate
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.harness.session import OwnFolder
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import publish
from sherpa.events.wakeup import CHANNEL, Wakeup

LONG = 20.0
LOGGER = "sherpa.events.wakeup"
SESSION = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'NOTIFY%'"


class Ticked(Payload, frozen=True, kw_only=True):
    """A payload that says nothing."""

    event_type: ClassVar[str] = "clock.ticked"
    aggregate_type: ClassVar[str] = "clock"


async def publish_one(database: Database) -> None:
    """Publish an event in a transaction of its own."""
    async with database.transaction() as transaction:
        await publish(transaction, Event(aggregate_id=uuid4(), payload=Ticked()))


async def settled() -> None:
    """Wait until what was started has ended: the caller itself waits for none of it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    async with asyncio.timeout(LONG):
        await asyncio.gather(*others)


@pytest.fixture
def own_server(own_folder: OwnFolder) -> Iterator[PostgresServer]:
    """Return a running server for this test alone."""
    with own_folder() as place:
        server = PostgresServer(
            place / "server", ports.any_free(), secrets.token_hex(8), place.name, durable=False
        )
        server.start()
        yield server
        server.stop()


def stop(server: PostgresServer) -> None:
    """Stop the server, without a word."""
    server.stop()


def settings_of(server: PostgresServer) -> DatabaseSettings:
    """Return how to reach the server."""
    url = ServiceUrl(
        scheme="postgresql",
        host=ports.LOOPBACK,
        port=server.port,
        username=server.superuser,
        password=Secret(server.password),
        database="postgres",
    )
    return DatabaseSettings(url=url, min_connections=0, max_connections=4, ssl_mode=SslMode.PREFER)


async def test_exhausted_pool_delays_no_wakeup(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """While others have all connections, and more wait for one, the wake-up is sent."""
    woken = asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: woken.set())
    few = replace(database_settings, min_connections=1, max_connections=1)

    async with Database(few, application_name="few") as database, database.connection():
        database.engine.companion(Wakeup).ring()

        async with asyncio.timeout(LONG):
            await woken.wait()
    await connection.reset()


async def test_lost_session_is_replaced(
    database_settings: DatabaseSettings, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """A session that was ended from outside is followed by another, without a word."""
    async with Database(database_settings, application_name="lost") as database:
        bell = database.engine.companion(Wakeup)
        bell.ring()
        await settled()
        ended = await connection.fetchval(f"SELECT pg_terminate_backend(pid, 5000) {SESSION}")
        bell.ring()
        await settled()

        another = await connection.fetchval(f"SELECT count(*) {SESSION}")
    assert (True, 1) == (ended, another)
    assert "is not woken" not in capsys.readouterr().out


async def test_server_that_goes_after_the_commit(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that is gone when the wake-up is due changes nothing for the caller; later ones come again."""
    caplog.set_level(logging.INFO, LOGGER)
    settings = settings_of(own_server)
    await migrate(settings)

    async with Database(settings, application_name="away") as database:
        async with database.transaction() as transaction:
            await publish(transaction, Event(aggregate_id=uuid4(), payload=Ticked()))
            transaction.after_commit(
                lambda: stop(own_server)
            )  # after publish()'s own: rung, and not sent yet
        for _ in range(3):
            database.engine.companion(Wakeup).ring()
            await settled()
        own_server.start()
        await database.retry(
            lambda transaction: publish(transaction, Event(aggregate_id=uuid4(), payload=Ticked()))
        )
        await settled()

        async with database.connection() as connection:
            assert 2 == await connection.fetchval("SELECT count(*) FROM outbox")
    lines = capsys.readouterr().out
    assert (1, 1) == (lines.count("is not woken"), lines.count("is woken again"))
