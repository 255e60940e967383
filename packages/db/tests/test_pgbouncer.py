"""Behind PgBouncer in transaction mode: DATABASE_STATEMENT_CACHE_SIZE=0 is all that it takes."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseRefusedError
from sherpa.db.migrations.errors import ConnectionFailedError
from sherpa.db.migrations.runner import migrate
from sherpa.db.transaction import Transaction
from sherpa.devstack import processes
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.processes import Spawn

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=sherpa password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@pytest.fixture
async def bouncer(own_server: Any, free_port: Callable[[], int]) -> AsyncIterator[DatabaseSettings]:
    """Return settings that lead through a PgBouncer with two server connections; skip where there is none."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("needs the pgbouncer command (Debian and Ubuntu: apt install pgbouncer)")
    await asyncio.to_thread(own_server.server.start)
    port, account = free_port(), current_account()
    file = own_server.place / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=own_server.port, password=own_server.password, port=port))
    account.own(file)
    place, log = own_server.place, own_server.place / "pgbouncer.log"
    process = processes.spawn(Spawn([program, str(file)], log, place, {"PATH": os.defpath}, account.switch))
    await _until_listening(port)
    settings: DatabaseSettings = own_server.settings()
    yield replace(settings, url=settings.url.replace(port=port), statement_cache_size=0)
    processes.stop(process, (signal.SIGTERM, 10.0))


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await asyncio.sleep(0.02)


async def test_transactions_share_server_connections(bouncer: DatabaseSettings) -> None:
    """More connections than PgBouncer has to the server run transactions with parameters side by side."""
    async with Database(bouncer, application_name="bounced") as database:

        async def add(number: int) -> int:
            async def work(transaction: Transaction) -> int:
                found = await transaction.connection.fetchval("SELECT $1::int + 1", number)
                return int(await transaction.connection.fetchval("SELECT $1::int", found))

            return await database.retry(work)

        found = await asyncio.gather(*(add(number) for number in range(40)))

    assert list(range(1, 41)) == found


async def test_transactions_are_set_up(bouncer: DatabaseSettings) -> None:
    """The name, UTC and the limit on idling hold in each transaction."""
    query = """
        SELECT current_setting('application_name'), current_setting('TimeZone'),
            current_setting('idle_in_transaction_session_timeout')
    """
    async with (
        Database(bouncer, application_name="bounced") as database,
        database.transaction() as transaction,
    ):
        (found,) = await transaction.connection.fetch(query)

    assert ("bounced", "UTC", "1min") == tuple(found)


async def test_statement_cache_is_refused_with_advice(bouncer: DatabaseSettings) -> None:
    """With a statement cache, opening fails at once and says which variable to set."""
    with pytest.raises(DatabaseRefusedError, match="Set DATABASE_STATEMENT_CACHE_SIZE=0 behind PgBouncer"):
        await Database(replace(bouncer, statement_cache_size=100), application_name="bounced").open()


async def test_migrations_refuse_a_pooler(bouncer: DatabaseSettings) -> None:
    """Migrating is refused before anything is set: lock and settings would stay on the pooler's session."""
    with pytest.raises(ConnectionFailedError, match="Let DATABASE_URL point at PostgreSQL itself"):
        await migrate(bouncer)

    async with Database(bouncer, application_name="bounced") as database, database.connection() as connection:
        found = await connection.fetchval("SELECT current_setting('lock_timeout')")
    assert "0" == found
