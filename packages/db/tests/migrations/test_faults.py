"""The network, the server and its administrator at their worst: each told as what it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.errors import ConnectionFailedError, MigrationFailedError, StuckError
from sherpa.db.migrations.events import ignore
from sherpa.db.migrations.execution.insistence import Retries
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.migration import Run
from sherpa.db.migrations.review.sources import find_edited
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.status import read_status

type WriteMigration = Callable[..., Path]


# The protocol's message Terminate.
GOODBYE = b"X\x00\x00\x00\x04"


@dataclass
class Relay:
    """Stands before the server: `settings` lead to it.

    The client never learns from it that the server has hung up, and gets no answer any more to a message
    that contains `unanswered`: then the relay hangs up.
    """

    settings: DatabaseSettings
    unanswered: bytes = b""

    async def serve(
        self, target: DatabaseSettings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on what one client sends to the target, and its answers."""
        from_server, to_server = await asyncio.open_connection(target.url.host, target.url.port)
        is_cut = asyncio.Event()
        answers = asyncio.create_task(self._answer(from_server, writer, is_cut))
        while (data := await reader.read(65536)) and not data.endswith(GOODBYE):
            if self.unanswered and self.unanswered in data:
                is_cut.set()
            to_server.write(data)
        to_server.close()
        writer.close()
        await answers

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_cut: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if is_cut.is_set():
                writer.close()
            else:
                writer.write(data)


@pytest.fixture
async def relay(empty_database_settings: DatabaseSettings) -> AsyncIterator[Relay]:
    """Return a relay before the empty database."""
    relay = Relay(empty_database_settings)

    serve = partial(relay.serve, empty_database_settings)
    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        url = empty_database_settings.url.replace(port=server.sockets[0].getsockname()[1])
        relay.settings = replace(empty_database_settings, url=url)
        yield relay


async def test_last_words_between_statements(relay: Relay, empty_connection: asyncpg.Connection) -> None:
    """A session that the server has ended, but not hung up on, is called an ended connection."""

    async def work_on() -> None:
        async with open_session(relay.settings) as connection:
            pid = connection.get_server_pid()
            await empty_connection.execute("SELECT pg_terminate_backend($1, 60000)", pid)
            while True:
                await connection.execute("SELECT 1")

    with pytest.raises(
        ConnectionFailedError, match=r"ended \(the server ended it\)\..*run the command again"
    ):
        await work_on()


async def test_lost_answer_to_a_commit(
    relay: Relay,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Cut off before COMMIT is answered, nobody knows: so it is said, and the next run finds it done."""
    write_migration("001_a")
    relay.unanswered = b"COMMIT;"

    with pytest.raises(ConnectionFailedError, match="It is done whole or not at all"):
        await migrate(relay.settings, folder=folder)

    while await empty_connection.fetchval("SELECT to_regclass('migration')") is None:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert () == await migrate(empty_database_settings, folder=folder)


async def test_limits_for_the_application_are_not_ours(
    guest_settings: DatabaseSettings, superuser: asyncpg.Connection
) -> None:
    """What the administrator sets for a role's sessions ends no run halfway, and changes none."""
    role = guest_settings.url.username
    theirs = {
        "statement_timeout": "1s",
        "idle_session_timeout": "1s",
        "idle_in_transaction_session_timeout": "1s",
        "lock_timeout": "1s",
        "default_transaction_isolation": "serializable",
    }
    if superuser.get_server_version().major >= 17:
        theirs["transaction_timeout"] = "1s"
    for name, value in theirs.items():
        await superuser.execute(f"ALTER ROLE {role} SET {name} = '{value}'")

    async with open_session(guest_settings) as connection:
        ours = {name: await connection.fetchval(f"SHOW {name}") for name in theirs}

    expected = {
        "statement_timeout": "0",
        "idle_session_timeout": "0",
        "idle_in_transaction_session_timeout": "1min",
        "lock_timeout": "5s",
        "default_transaction_isolation": "read committed",
        "transaction_timeout": "0",
    }
    assert {name: expected[name] for name in theirs} == ours


@pytest.fixture
async def own_settings(own_server: Any) -> DatabaseSettings:
    """Return settings of a server that prepares transactions."""
    own_server.options["max_prepared_transactions"] = "2"
    await asyncio.to_thread(own_server.server.start)
    settings: DatabaseSettings = own_server.settings()
    return settings


async def test_prepared_transaction_is_named(
    own_settings: DatabaseSettings, folder: Path, write_migration: WriteMigration
) -> None:
    """A prepared transaction in the way has no session that one could end: its own name is told."""
    application = await asyncpg.connect(**connect_options(own_settings, "till"))
    await application.execute("CREATE TABLE busy (id int PRIMARY KEY); INSERT INTO busy VALUES (1)")
    await application.execute("BEGIN; UPDATE busy SET id = id; PREPARE TRANSACTION 'invoice 7'")
    await application.close()
    write_migration("001_a", forwards="ALTER TABLE busy ADD COLUMN x int", lock_timeout_seconds=1)
    batches = Batches(
        "busy",
        "id",
        "DELETE FROM busy WHERE id BETWEEN $1 AND $2",
        lock_timeout_seconds=0.01,
        patience_seconds=0.1,
    )

    with pytest.raises(MigrationFailedError, match=r"held by the prepared transaction 'invoice 7' \("):
        await migrate(own_settings, folder=folder, retries=Retries(attempts=1))
    with pytest.raises(StuckError, match="for longest: the prepared transaction 'invoice 7'"):
        async with open_session(own_settings) as connection:
            await batches(Run(connection, "002_b", "forwards", ignore))


async def test_reverted_meanwhile_is_not_edited(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that another run takes back between two questions is no edited one."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    status = await read_status(empty_connection, list_files(folder))
    write_migration("001_a", forwards="CREATE TABLE other ()")
    await empty_connection.execute("DELETE FROM migration")

    assert () == await find_edited(empty_connection, status.applied, list_files(folder))
