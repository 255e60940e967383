"""Brokers on every arrangement of real servers, and in memory: what passes on one must pass on all."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sherpa.config import RedisSettings, RedisTopology, Secret, ServiceUrl
from sherpa.devstack import ports
from sherpa.devstack.embedded.arrangements import PRIMARY, Cluster, WatchedServers, ask
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import OwnFolder
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.brokers.memory import MemoryBroker

type Open = Callable[[RedisSettings], Broker]

PASSWORD = 'p@ss "word"'


@pytest.fixture(scope="session")
def place(own_folder: OwnFolder) -> Iterator[Path]:
    """Return a folder for servers of these tests' own."""
    with own_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def watched_servers(place: Path) -> Iterator[WatchedServers]:
    """Return a primary, its replica and a Sentinel."""
    servers = WatchedServers(place / "watched", "watched-secret")
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def cluster(place: Path) -> Iterator[Cluster]:
    """Return a cluster of three nodes."""
    cluster = Cluster(place / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def sentinel_settings(watched_servers: WatchedServers) -> Iterator[RedisSettings]:
    """Return settings for the watched servers; of the two Sentinels that they name, one is away."""
    url = f"redis://:{watched_servers.password}@127.0.0.1:{ports.any_free()}/0"
    yield RedisSettings(
        url=ServiceUrl.parse(url),
        topology=RedisTopology.SENTINEL,
        nodes=(f"127.0.0.1:{watched_servers.sentinel_port}",),
        sentinel_master=PRIMARY,
        timeout_seconds=2,
    )
    ask(watched_servers.primary().port, "FLUSHALL", password=watched_servers.password)


@pytest.fixture
def cluster_settings(cluster: Cluster) -> Iterator[RedisSettings]:
    """Return settings for the cluster."""
    first, *others = (f"127.0.0.1:{node.port}" for node in cluster.nodes)
    yield RedisSettings(
        url=ServiceUrl.parse(f"redis://{first}"), topology=RedisTopology.CLUSTER, nodes=tuple(others)
    )
    for node in cluster.nodes:
        ask(node.port, "FLUSHALL")


@pytest.fixture
def server(own_folder: OwnFolder) -> Iterator[ValkeyServer]:
    """Return a durable server of the test's own, to be hurt at will."""
    with own_folder() as folder:
        server = ValkeyServer(folder / "server", ports.any_free(), PASSWORD, options={"appendonly": "yes"})
        server.start()
        yield server
        server.stop()


@pytest.fixture
def server_settings(server: ValkeyServer) -> RedisSettings:
    """Return settings for the test's own server, with little patience."""
    url = ServiceUrl(
        scheme="redis", host="127.0.0.1", port=server.port, password=Secret(PASSWORD), database="0"
    )
    return RedisSettings(url=url, timeout_seconds=0.5)


@pytest.fixture(params=["memory", "standalone", "sentinel", "cluster"])
def settings(request: pytest.FixtureRequest) -> RedisSettings | None:
    """Return settings for each arrangement in turn; None is for memory."""
    if request.param == "memory":
        return None
    fixture = {"standalone": "redis_settings"}.get(request.param, f"{request.param}_settings")
    found: RedisSettings = request.getfixturevalue(fixture)
    return found


@pytest.fixture
async def open_broker() -> AsyncIterator[Open]:
    """Return the function that opens a broker, which is closed after the test."""
    async with AsyncExitStack() as stack:

        def open_broker(settings: RedisSettings) -> Broker:
            broker = connect(settings)
            stack.push_async_callback(broker.close)
            return broker

        yield open_broker


@pytest.fixture
def broker(settings: RedisSettings | None, open_broker: Open) -> Broker:
    """Return a broker on each arrangement in turn."""
    return open_broker(settings) if settings else MemoryBroker()


@pytest.fixture
def another(settings: RedisSettings | None, broker: Broker, open_broker: Open) -> Broker:
    """Return the same broker as another process has it."""
    return open_broker(settings) if settings else broker


@pytest.fixture
def lose_everything(broker: Broker, request: pytest.FixtureRequest) -> Callable[[], Awaitable[None]]:
    """Return the function after which the broker has nothing any more."""

    async def lose_everything() -> None:
        if isinstance(broker, MemoryBroker):
            broker.lose_everything()
            return
        if "cluster" in request.node.name:
            for node in request.getfixturevalue("cluster").nodes:
                ask(node.port, "FLUSHALL")
        elif "sentinel" in request.node.name:
            servers = request.getfixturevalue("watched_servers")
            ask(servers.primary().port, "FLUSHALL", password=servers.password)
        else:
            async with Redis.from_url(request.getfixturevalue("redis_url")) as redis:
                await redis.flushdb()

    return lose_everything
