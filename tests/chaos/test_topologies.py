"""Stories of Redis on several servers: what takes over goes on by itself, also where it lacks the end."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot
from rig.ledger import Verdict
from rig.patience import Patience
from rig.stand import HANDLERS, OpenStand, Stand

from sherpa.devstack import ports
from sherpa.devstack.embedded.arrangements import PRIMARY, Cluster, WatchedServers, process_of, wait_until
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness import place

STREAM = "sherpa:events:0"
SLOT = key_slot(STREAM.encode())
PASSWORD = "watched"
# Servers take two seconds to see that one of them is dead and to choose the next one, on an idle machine.
FAILOVER_SECONDS = 20.0
LOST = 30


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that the servers' user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="topology ", dir=place.choose().parent))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    """Return a cluster of three nodes."""
    cluster = Cluster(folder / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def watched(folder: Path) -> Iterator[WatchedServers]:
    """Return a primary, its replica and a Sentinel."""
    servers = WatchedServers(folder / "watched", PASSWORD)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


async def await_owner(cluster: Cluster, owner: ValkeyServer, witness: ValkeyServer) -> None:
    """Wait until a node has the stream's slot."""
    await asyncio.to_thread(wait_until, lambda: cluster.owner(SLOT, witness) is owner, "another owner")


async def test_cluster_fails_over_and_is_resharded(open_stand: OpenStand, cluster: Cluster) -> None:
    """The primary of the stream is killed, and its slot moves: workers wait, follow, and lose nothing."""
    primary = cluster.owner(SLOT, cluster.nodes[0])
    replica = await asyncio.to_thread(cluster.add_replica, primary)
    witness, target = (node for node in cluster.nodes if node not in (primary, replica))
    async with open_stand(
        REDIS_TOPOLOGY="cluster",
        REDIS_URL=f"redis://{ports.LOOPBACK}:{primary.port}",
        REDIS_NODES=f"{ports.LOOPBACK}:{witness.port}",
    ) as stand:
        await stand.begin(workers=2)

        process_of(primary).kill()
        await await_owner(cluster, replica, witness)
        await stand.recover("a primary killed", within_seconds=FAILOVER_SECONDS)
        await asyncio.to_thread(cluster.move, SLOT, replica, target)
        await stand.recover("a slot moved", within_seconds=FAILOVER_SECONDS)

        assert Verdict() == await stand.finish()


async def lose_end(stand: Stand, servers: WatchedServers) -> None:
    """Kill the primary with some events that its replica, which takes over, was not told."""
    await asyncio.to_thread(wait_until, servers.is_whole, "a replica")
    primary = servers.primary()
    replica = await asyncio.to_thread(servers.hold_back)
    patience = Patience(FAILOVER_SECONDS)
    wanted = await stand.published() + LOST
    while await stand.published() < wanted:
        assert not patience.is_over, stand.words()
        await patience.wait()
    process_of(primary).kill()
    replica.resume()


async def test_sentinel_fails_over_to_a_server_that_lacks_the_end(
    open_stand: OpenStand, watched: WatchedServers
) -> None:
    """What only the dead primary and a dead relay knew of comes again, in order: the next relay finds out."""
    async with open_stand(
        REDIS_TOPOLOGY="sentinel",
        REDIS_URL=f"redis://:{PASSWORD}@{ports.LOOPBACK}:{watched.sentinel_port}",
        REDIS_SENTINEL_MASTER=PRIMARY,
    ) as stand:
        await stand.begin(workers=1)
        await stand.crew.clear()
        stand.crew.hire(WORKER_HANDLERS=HANDLERS[0])  # so that what is lost the others have not had

        await lose_end(stand, watched)
        await stand.crew.clear()
        stand.crew.hire()
        await stand.recover("an end lost with its relay", within_seconds=FAILOVER_SECONDS)

        assert Verdict() == await stand.finish()
