"""Streams spread over a cluster's nodes, and slots that move: the broker follows them."""

import asyncio
from collections.abc import Callable

import pytest
from redis.crc import key_slot

from sherpa.config import RedisSettings, RedisTopology, ServiceUrl
from sherpa.devstack import ports
from sherpa.devstack.embedded.arrangements import Cluster, ask
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.events.brokers.broker import Broker, Token
from sherpa.events.errors import BrokerUnavailableError

type Open = Callable[[RedisSettings], Broker]

STREAM = "sherpa:events:0"
SLOT = str(key_slot(STREAM.encode()))
OURS = (STREAM, f"{{{STREAM}}}:role:relay", f"{{{STREAM}}}:bookmark")
BATCH = [{"payload": "1"}, {"payload": "2"}]


@pytest.fixture
def broker(cluster_settings: RedisSettings, open_broker: Open) -> Broker:
    """Return a broker on the cluster."""
    return open_broker(cluster_settings)


def keys(node: ValkeyServer) -> set[str]:
    """Return what a node has."""
    found = ask(node.port, "KEYS", "*")
    return {key.decode() for key in found if isinstance(key, bytes)} if isinstance(found, list) else set()


class Move:
    """Moves the slot of partition 0 from the node that has it to another one, step by step."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.source = next(node for node in cluster.nodes if STREAM in keys(node))
        self.target = next(node for node in cluster.nodes if node is not self.source)

    def begin(self) -> None:
        """Let both nodes know."""
        source, target = map(self._cluster.identity, (self.source, self.target))
        ask(self.target.port, "CLUSTER", "SETSLOT", SLOT, "IMPORTING", source)
        ask(self.source.port, "CLUSTER", "SETSLOT", SLOT, "MIGRATING", target)

    def carry(self, *names: str) -> None:
        """Carry keys over."""
        ask(self.source.port, "MIGRATE", "127.0.0.1", str(self.target.port), "", "0", "5000", "KEYS", *names)

    def end(self) -> None:
        """Let the slot be the target's."""
        identity = self._cluster.identity(self.target)
        for node in (self.target, self.source, *self._cluster.nodes):
            ask(node.port, "CLUSTER", "SETSLOT", SLOT, "NODE", identity)


async def begun(broker: Broker) -> Token:
    """Append a batch to partition 0, with its bookmark, and fill a pool of connections to each node."""
    token = await broker.take(0, "relay")
    await broker.append(0, token, BATCH, bookmark="first")
    await asyncio.gather(*(broker.state(number) for number in range(64)))
    return token


async def test_streams_are_spread(broker: Broker, cluster: Cluster) -> None:
    """Partitions lie on different nodes, and each with its fences on one."""
    for partition in range(6):
        token = await broker.take(partition, "relay")
        await broker.append(partition, token, BATCH)

    places = [keys(node) for node in cluster.nodes]

    assert all(places)
    for partition in range(6):
        together = {f"sherpa:events:{partition}", f"{{sherpa:events:{partition}}}:role:relay"}
        assert 1 == sum(together <= place for place in places)
    assert [0, 1, 2, 3, 4, 5] == await broker.partitions()


async def test_appending_follows_a_moving_slot(broker: Broker, cluster: Cluster) -> None:
    """Before, during and after the move of its slot a stream takes each batch once."""
    token = await begun(broker)
    move = Move(cluster)

    move.begin()
    await broker.append(0, token, BATCH)  # the source still has the keys
    move.carry(*OURS)
    await broker.append(0, token, BATCH)  # the source points to the target: ASK
    move.end()
    await broker.append(0, token, BATCH)  # MOVED
    await broker.append(0, token, BATCH)

    assert 2 * 5 == (await broker.state(0)).length
    assert STREAM in keys(move.target)


async def test_a_slot_in_two_halves_is_unavailable(broker: Broker, cluster: Cluster) -> None:
    """While one of the keys of a script is here and the other there, nothing is run."""
    token = await begun(broker)
    move = Move(cluster)

    move.begin()
    move.carry(STREAM)
    with pytest.raises(BrokerUnavailableError):
        await broker.append(0, token, BATCH)
    move.carry(*OURS[1:])
    move.end()
    await broker.append(0, token, BATCH)

    assert 2 * 2 == (await broker.state(0)).length


async def test_waiting_follows_a_moved_slot(broker: Broker, cluster: Cluster) -> None:
    """Who waits for a partition that moves away hears of its next entry all the same."""
    token = await begun(broker)
    await broker.ensure_group(0, "h")
    reader = await broker.take(0, "h")
    await broker.read(0, "h", "c", reader, count=10)
    move = Move(cluster)
    waiting = asyncio.create_task(broker.wait(0, "h", seconds=30))
    await asyncio.sleep(0.1)

    move.begin()
    move.carry(*OURS, f"{{{STREAM}}}:role:h")
    move.end()
    await broker.append(0, token, BATCH)
    async with asyncio.timeout(15):
        await waiting

    assert 2 == len(await broker.read(0, "h", "c", reader, count=10))


async def test_a_seed_that_is_away_is_passed_over(cluster: Cluster, open_broker: Open) -> None:
    """One node that answers is enough to find the others."""
    settings = RedisSettings(
        url=ServiceUrl.parse(f"redis://127.0.0.1:{ports.any_free()}"),
        topology=RedisTopology.CLUSTER,
        nodes=(f"127.0.0.1:{cluster.nodes[2].port}",),
    )
    broker = open_broker(settings)

    terms = [await broker.take(partition, "relay") for partition in range(6)]

    assert ["1"] * 6 == [term.partition(":")[0] for term in terms]
    await asyncio.gather(*(asyncio.to_thread(ask, node.port, "FLUSHALL") for node in cluster.nodes))


async def test_memory_and_weaknesses_are_the_worst_nodes(broker: Broker, cluster: Cluster) -> None:
    """A weakness of any node is one of the cluster, and the fullest node counts."""
    node = cluster.nodes[1]
    ask(node.port, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    ask(node.port, "CONFIG", "SET", "maxmemory", "100mb")
    try:
        weaknesses, share = await broker.weaknesses(), await broker.memory_share()
    finally:
        ask(node.port, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        ask(node.port, "CONFIG", "SET", "maxmemory", "0")

    assert {"maxmemory-policy", "appendonly"} == {each.split()[0] for each in weaknesses}
    assert share is not None
    assert 0 < share < 0.5
