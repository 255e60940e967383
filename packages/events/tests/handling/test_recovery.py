"""Servers that restart, hang or come back empty under a running consumer: it goes on by itself."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from packages.events.tests.handling.conftest import MAKE_EFFECTS, Counted, Stage, entry, record
from sherpa.config import DatabaseSettings, RedisSettings, Secret, ServiceUrl, SslMode
from sherpa.db.dsn import connect_options
from sherpa.db.engine import Database
from sherpa.db.migrations.runner import migrate
from sherpa.db.transaction import Transaction
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import OwnFolder
from sherpa.events.brokers.connect import connect
from sherpa.events.errors import BrokerFullError
from sherpa.events.event import Received

WITHIN_SECONDS = 60.0

type Fault = Callable[["Servers"], Awaitable[None]]


class Servers:
    """A PostgreSQL and a Valkey of the test's own."""

    def __init__(self, place: Path) -> None:
        password = secrets.token_hex(8)
        self.postgres = PostgresServer(place / "postgres", ports.any_free(), password, "recovery")
        self.valkey = ValkeyServer(place / "valkey", ports.any_free(), options={"appendonly": "yes"})
        self.pids: dict[str, int] = {}

    def database_settings(self) -> DatabaseSettings:
        """Return how to reach PostgreSQL."""
        url = ServiceUrl(
            scheme="postgresql",
            host="127.0.0.1",
            port=self.postgres.port,
            username=SUPERUSER,
            password=Secret(self.postgres.password),
            database="postgres",
        )
        return DatabaseSettings(url=url, min_connections=0, max_connections=20, ssl_mode=SslMode.PREFER)

    def redis_settings(self) -> RedisSettings:
        """Return how to reach Valkey, with little patience."""
        return RedisSettings(
            url=ServiceUrl.parse(f"redis://127.0.0.1:{self.valkey.port}/0"), timeout_seconds=1
        )

    def start(self) -> None:
        """Start both, or those that don't run."""
        self.pids = {"postgres": self.postgres.start(), "valkey": self.valkey.start()}

    def stop(self) -> None:
        """Stop both."""
        self.valkey.stop()
        self.postgres.stop()


@pytest.fixture
def servers(own_folder: OwnFolder) -> Iterator[Servers]:
    """Return servers to be hurt at will."""
    with own_folder() as place:
        servers = Servers(place)
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()


@pytest.fixture
async def hurt_stage(servers: Servers) -> AsyncIterator[Stage]:
    """Return a stage on these servers. Its own connection is made anew whenever it is needed."""
    settings = servers.database_settings()
    await migrate(settings)
    connection = await asyncpg.connect(**connect_options(settings, "observer"))
    await connection.execute(MAKE_EFFECTS)
    await connection.close()
    broker = connect(servers.redis_settings())
    async with Database(settings, application_name="test") as database:
        yield Stage(database, connection, broker)
    await broker.close()


async def restart_postgres(servers: Servers) -> None:
    """Stop it as an administrator does, and start it."""
    await asyncio.to_thread(servers.postgres.stop)
    await asyncio.to_thread(servers.start)


async def kill_postgres(servers: Servers) -> None:
    """End it without a word."""
    os.kill(servers.pids["postgres"], signal.SIGKILL)
    await asyncio.to_thread(servers.start)


async def restart_valkey(servers: Servers) -> None:
    """Stop it and start it with its data."""
    await asyncio.to_thread(servers.valkey.stop)
    await asyncio.to_thread(servers.start)


async def pause_valkey(servers: Servers) -> None:
    """Let it hang for longer than anybody waits for an answer."""
    os.kill(servers.pids["valkey"], signal.SIGSTOP)
    await asyncio.sleep(3)
    os.kill(servers.pids["valkey"], signal.SIGCONT)


async def pause_postgres(servers: Servers) -> None:
    """Let its sessions hang for a while."""
    postgres = servers.pids["postgres"]
    sessions = [postgres, *(child.pid for child in psutil.Process(postgres).children())]
    for pid in sessions:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(7)
    for pid in sessions:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "fault", [restart_postgres, kill_postgres, pause_postgres, restart_valkey, pause_valkey]
)
async def test_consumer_goes_on_after(servers: Servers, hurt_stage: Stage, fault: Fault) -> None:
    """Before, during and after the fault: each event has its effect once, in order, and none has failed."""
    done = asyncio.Event()

    async def tell(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        await asyncio.sleep(0.01)
        if event.payload.number == 399:
            transaction.after_commit(done.set)

    aggregate, stop = uuid4(), asyncio.Event()
    await hurt_stage.append(*(entry(number, aggregate_id=aggregate) for number in range(200)))
    run = asyncio.create_task(hurt_stage.consumer(handle=tell, batch_size=20).run(stop))

    await asyncio.sleep(1)
    await fault(servers)
    await hurt_stage.append(*(entry(number, aggregate_id=aggregate) for number in range(200, 400)))
    await asyncio.wait_for(done.wait(), WITHIN_SECONDS)
    stop.set()
    await run

    hurt_stage.connection = await asyncpg.connect(**connect_options(servers.database_settings(), "observer"))
    assert list(range(400)) == await hurt_stage.effects()
    assert ([], 0) == (await hurt_stage.failed("status"), await hurt_stage.pending())
    await hurt_stage.connection.close()


async def test_full_broker_is_worked_off(servers: Servers, hurt_stage: Stage) -> None:
    """A consumer that starts where Redis has no room left works off what fills it."""
    await hurt_stage.append(*(entry(number) for number in range(200)))
    await hurt_stage.broker.ensure_group(0, "counter")
    async with Redis(port=servers.valkey.port) as redis:
        await redis.config_set("maxmemory", "1mb")

    await hurt_stage.drain(hurt_stage.consumer())

    with pytest.raises(BrokerFullError):
        await hurt_stage.append(entry(200))
    assert 0 == await hurt_stage.pending()
    await hurt_stage.consumers[0].leave()
