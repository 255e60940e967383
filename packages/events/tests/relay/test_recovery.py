"""Servers that restart, die, stall, fill up and forget under a running relay: it goes on, and in order."""

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from packages.events.tests.relay.conftest import Stream, Writer, running
from sherpa.config import DatabaseSettings, EventsSettings, RedisSettings, ServiceUrl, SslMode
from sherpa.db.engine import Database
from sherpa.db.migrations.runner import migrate
from sherpa.db.transaction import Transaction
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import OwnFolder
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.connect import connect
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.metrics import Metrics
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay

LOGGED = {"appendonly": "yes", "appendfsync": "always", "save": ""}


@dataclass(frozen=True)
class Servers:
    """A PostgreSQL and a Valkey of the test's own."""

    postgres: PostgresServer
    valkey: ValkeyServer

    @property
    def database_settings(self) -> DatabaseSettings:
        """How to reach PostgreSQL."""
        url = f"postgresql://{SUPERUSER}:{self.postgres.password}@127.0.0.1:{self.postgres.port}/postgres"
        return DatabaseSettings(
            url=ServiceUrl.parse(url), min_connections=1, max_connections=4, ssl_mode=SslMode.PREFER
        )

    @property
    def redis_settings(self) -> RedisSettings:
        """How to reach Valkey; an answer is waited for 1 s."""
        url = f"redis://127.0.0.1:{self.valkey.port}/0"
        return RedisSettings(url=ServiceUrl.parse(url), timeout_seconds=1.0)


@pytest.fixture(scope="module")
def servers(own_folder: OwnFolder) -> Iterator[Servers]:
    """Return servers for these tests alone, PostgreSQL empty; each test starts what doesn't run."""
    with own_folder() as place:
        # Durable: what a killed server has confirmed must be there.
        postgres = PostgresServer(place / "postgres", ports.any_free(), secrets.token_hex(8), "relay-test")
        valkey = ValkeyServer(place / "valkey", ports.any_free(), options=LOGGED)
        try:
            yield Servers(postgres, valkey)
        finally:
            postgres.stop()
            valkey.stop()


@dataclass
class Scene:
    """A relay at work on servers of the test's own, and who writes and reads."""

    servers: Servers
    relay: Relay
    writer: Writer
    stream: Stream
    metrics: Metrics

    async def publish(self, *numbers: int) -> None:
        """Publish as business code does that is patient with its database."""
        await self.writer.database.retry(partial(self._write, numbers))

    async def _write(self, numbers: tuple[int, ...], transaction: Transaction) -> None:
        await self.writer.publish_in(transaction, *numbers)

    async def arrived(self, *numbers: int) -> bool:
        """Tell whether the stream has exactly these, repeats apart."""
        try:
            return list(dict.fromkeys(await self.stream.numbers())) == list(numbers)
        except RedisError:
            return False

    def measure(self, name: str) -> float:
        """Return what the relay has measured."""
        return self.metrics.registry.get_sample_value(f"sherpa_events_{name}", {"partition": "0"}) or 0.0


@pytest.fixture
async def scene(servers: Servers) -> AsyncIterator[Scene]:
    """Return a relay that runs and has published the event 0."""
    servers.postgres.start()
    servers.valkey.start()
    await migrate(servers.database_settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(servers.database_settings, application_name="test")
        )
        redis = await stack.enter_async_context(
            Redis.from_url(servers.redis_settings.url.reveal(), decode_responses=True, socket_timeout=1)
        )
        async with database.connection() as connection:
            await connection.execute("TRUNCATE outbox")
        await redis.flushall()
        broker = connect(servers.redis_settings)
        stack.push_async_callback(broker.close)
        metrics = Metrics()
        relay = Relay(
            servers.database_settings, broker, settings=EventsSettings(batch_size=10), metrics=metrics
        )
        await stack.enter_async_context(running(relay))
        scene = Scene(servers, relay, Writer(database), Stream(redis), metrics)
        await scene.publish(0)
        await eventually(partial(scene.arrived, 0))
        yield scene


def kill(pid: int) -> None:
    """Kill a server's process and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    process.wait()


async def test_postgres_restarts(scene: Scene) -> None:
    """After a restart of PostgreSQL the relay leads, listens and publishes again."""
    scene.servers.postgres.stop()
    await eventually(partial(fails, scene))
    scene.servers.postgres.start()

    await scene.publish(*range(1, 50))

    await eventually(partial(scene.arrived, *range(50)))
    assert 1 == scene.measure("relay_leader") == scene.measure("relay_listening")


async def test_postgres_is_killed(scene: Scene) -> None:
    """After a crash of PostgreSQL everything that was committed is published."""
    await scene.publish(*range(1, 50))
    kill(scene.servers.postgres.start())
    scene.servers.postgres.start()

    await scene.publish(*range(50, 100))

    await eventually(partial(scene.arrived, *range(100)))


async def test_redis_is_killed(scene: Scene) -> None:
    """While Redis is away events are written all the same, and follow when it is back."""
    kill(scene.servers.valkey.start())
    await scene.publish(*range(1, 50))
    await eventually(partial(fails, scene))
    scene.servers.valkey.start()

    await eventually(partial(scene.arrived, *range(50)))


async def test_redis_stalls(scene: Scene) -> None:
    """When Redis is paused longer than an answer is waited for, every event arrives, some of them twice."""
    pid = scene.servers.valkey.start()
    os.kill(pid, signal.SIGSTOP)
    try:
        await scene.publish(*range(1, 50))
        await eventually(partial(fails, scene))
    finally:
        os.kill(pid, signal.SIGCONT)

    await eventually(partial(scene.arrived, *range(50)))


async def test_redis_forgets(scene: Scene) -> None:
    """After FLUSHALL the relay takes its role again, and all that nobody has handled arrives once more."""
    await scene.stream.redis.flushall()

    await scene.publish(1, 2)

    await eventually(partial(scene.arrived, 0, 1, 2))


async def test_redis_is_full(scene: Scene) -> None:
    """A Redis without room pauses the relay; with room again everything arrives, once."""
    await scene.stream.redis.config_set("maxmemory-policy", "noeviction")
    await scene.stream.redis.config_set("maxmemory", 1)
    await scene.publish(*range(1, 50))
    await eventually(partial(is_paused, scene))
    assert [0] == await scene.stream.numbers()

    await scene.stream.redis.config_set("maxmemory", 0)

    await eventually(partial(scene.arrived, *range(50)))
    assert 50 == len(await scene.stream.numbers())


async def test_connections_are_cut(scene: Scene) -> None:
    """Connections to both servers that are cut again and again cost repeats at most."""
    for number in range(1, 11):
        await scene.publish(number)
        await scene.stream.redis.client_kill_filter(_type="normal", skipme=True)
        async with scene.writer.database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'sherpa-relay%'"
            )

    await eventually(partial(scene.arrived, *range(11)))


async def test_table_is_locked(scene: Scene) -> None:
    """While a migration has the table to itself the relay waits, and goes on when it is done."""
    async with scene.writer.database.transaction() as transaction:
        await transaction.connection.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(2)
        await scene.writer.publish_in(transaction, 1)

    await eventually(partial(scene.arrived, 0, 1))
    assert 0 == scene.measure("relay_failures_total")


async def test_log_has_a_line_for_each_change(
    scene: Scene, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """However often the relay tries, an outage is two lines: that it began, and that it is over."""
    caplog.set_level(logging.INFO, logger="sherpa.events.relay")
    kill(scene.servers.valkey.start())
    await scene.publish(1)
    await eventually(partial(fails, scene, times=4))
    scene.servers.valkey.start()
    await eventually(partial(scene.arrived, 0, 1))

    lines = [line for line in capsys.readouterr().out.splitlines() if "relay" in line]
    assert 1 == sum("can't reach the broker" in line for line in lines)
    assert 1 == sum("the relay publishes" in line for line in lines)


async def fails(scene: Scene, *, times: int = 1) -> bool:
    """Tell whether the relay has failed at least so often."""
    return scene.measure("relay_failures_total") >= times


async def is_paused(scene: Scene) -> bool:
    """Tell whether the relay pauses."""
    return scene.measure("relay_paused") == 1


@pytest.mark.parametrize("failures", [1, 10, 100_000])
def test_rest_is_short_after_any_number_of_failures(
    failures: int, database_settings: DatabaseSettings
) -> None:
    """However long a server is away, the relay looks for it at least every 2 s."""
    relay = Relay(database_settings, MemoryBroker(), settings=EventsSettings())
    relay._failures = failures

    _, seconds = relay._choose_rest(Outcome.BROKER_AWAY, asyncio.Event())

    assert 0 <= seconds <= 2
