"""Several Valkey servers that work together, for tests: a primary, its replica and a Sentinel; a cluster.

They are real processes on 127.0.0.1, and quick to notice that one of them is away.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sherpa.devstack import ports, processes
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.embedded.binaries import valkey_binary
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.processes import Spawn
from sherpa.devstack.resp import RedisConnection, RedisReplyError, Reply

PATIENCE_SECONDS = 30.0
NOTICE_MILLISECONDS = 500
SLOTS = 16_384
PRIMARIES = 3
PRIMARY = "choice"

_OPTIONS = {"repl-diskless-sync-delay": "0", "appendonly": "no", "save": ""}


def ask(port: int, *words: str, password: str | None = None) -> Reply:
    """Return the answer to one command on a connection of its own."""
    with RedisConnection(ports.LOOPBACK, port, password=password) as connection:
        return connection.ask(*words)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds. Raises ServerFailedError naming what did not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError, RedisReplyError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise ServerFailedError(
                f"Waited {PATIENCE_SECONDS:.0f} s for nothing: {what}.", remedy="Try again."
            )
        time.sleep(0.02)


def process_of(server: ValkeyServer) -> psutil.Process:
    """Return a server's process. Raises ServerFailedError where it doesn't run."""
    pid = server.state().pid
    if pid is None:
        raise ServerFailedError(f"{server.directory.name} does not run.", remedy="Start it.")
    return psutil.Process(pid)


@dataclass
class WatchedServers:
    """A primary and a replica, which a Sentinel watches and puts in the primary's place."""

    directory: Path
    password: str = field(repr=False)
    sentinel_port: int = field(default_factory=ports.any_free)
    servers: list[ValkeyServer] = field(default_factory=list)
    _sentinel: psutil.Process | None = None

    def start(self) -> None:
        """Start all three, and wait until a failover is possible."""
        first, second = (self._server(name) for name in ("one", "two"))
        self.servers = [first, second]
        first.start()
        second.start()
        ask(second.port, "REPLICAOF", ports.LOOPBACK, str(first.port), password=self.password)
        self._start_sentinel(first.port)
        wait_until(self.is_whole, "a replica that follows its primary")

    def stop(self) -> None:
        """Stop all three."""
        if self._sentinel:
            processes.stop(self._sentinel, (signal.SIGKILL, PATIENCE_SECONDS))
        for server in self.servers:
            server.stop()

    def is_whole(self) -> bool:
        """Whether the Sentinel knows of a replica that follows the primary."""
        replicas = ask(self.sentinel_port, "SENTINEL", "REPLICAS", PRIMARY)
        facts = [_facts(each) for each in replicas] if isinstance(replicas, list) else []
        return any(each["master-link-status"] == "ok" and each["flags"] == "slave" for each in facts)

    def primary(self) -> ValkeyServer:
        """Return the server that the Sentinel names."""
        answer = ask(self.sentinel_port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)
        port = int(answer[1]) if isinstance(answer, list) and isinstance(answer[1], bytes) else 0
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> None:
        """Let the replica take over while the primary lives, and wait until both know."""
        wait_until(self.is_whole, "a replica to take over")
        old = self.primary()
        ask(self.sentinel_port, "SENTINEL", "FAILOVER", PRIMARY)
        wait_until(lambda: self.primary() is not old, "another primary")

    def replica(self) -> ValkeyServer:
        """Return the server that is not the primary."""
        primary = self.primary()
        return next(server for server in self.servers if server is not primary)

    def hold_back(self) -> psutil.Process:
        """Cut the replica off from its primary, and return its process, paused: it misses what comes now.

        It goes on with `resume()`; when its primary is dead by then, it takes over without what it missed.
        """
        process = process_of(self.replica())
        process.suspend()
        ask(self.primary().port, "CLIENT", "KILL", "TYPE", "replica", password=self.password)
        return process

    def follow(self, old: ValkeyServer) -> None:
        """Let a former primary, dead or deposed, follow its successor now: the Sentinel takes its time."""
        old.start()
        ask(old.port, "REPLICAOF", ports.LOOPBACK, str(self.primary().port), password=self.password)
        wait_until(self.is_whole, "a replica that follows its primary")

    def _server(self, name: str) -> ValkeyServer:
        options = {**_OPTIONS, "masterauth": self.password}
        return ValkeyServer(self.directory / name, ports.any_free(), self.password, options=options)

    def _start_sentinel(self, primary: int) -> None:
        place = current_account().make_private(self.directory / "sentinel")
        configuration = place / "sentinel.conf"
        lines = (
            f"port {self.sentinel_port}",
            f"bind {ports.LOOPBACK}",
            f"sentinel monitor {PRIMARY} {ports.LOOPBACK} {primary} 1",
            f"sentinel auth-pass {PRIMARY} {self.password}",
            f"sentinel down-after-milliseconds {PRIMARY} {NOTICE_MILLISECONDS}",
            f"sentinel failover-timeout {PRIMARY} 1000",
        )
        configuration.write_text("\n".join(lines) + "\n")
        current_account().own(configuration)
        self._sentinel = processes.spawn(
            Spawn(
                [str(valkey_binary()), str(configuration), "--sentinel"],
                log=place / "sentinel.log",
                directory=place,
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                user=current_account().switch,
            )
        )


@dataclass
class Cluster:
    """Three servers, each with a third of the slots; more nodes can follow each."""

    directory: Path
    nodes: list[ValkeyServer] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Start the nodes, and wait until each of them knows who has which slots."""
        for number in range(PRIMARIES):
            node = self._add_node()
            first, last = SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES - 1
            ask(node.port, "CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        wait_until(self.is_whole, "a cluster of three nodes")

    def stop(self) -> None:
        """Stop the nodes."""
        for node in self.nodes:
            node.stop()

    def add_replica(self, primary: ValkeyServer) -> ValkeyServer:
        """Start one more node, and return it when all know that it follows the primary."""
        node = self._add_node()
        wait_until(self.is_whole, "a fourth node")
        ask(node.port, "CLUSTER", "REPLICATE", self.identity(primary))
        self.await_replica(node)
        return node

    def await_replica(self, node: ValkeyServer) -> None:
        """Wait until a node has all that its primary has, and everybody knows that it can take its place."""
        wait_until(lambda: b"master_link_status:up" in _text(node, "INFO", "replication"), "a replica")
        line = f"{self.identity(node)} ".encode()

        def is_known(other: ValkeyServer) -> bool:
            lines = _text(other, "CLUSTER", "NODES").splitlines()
            return any(each.startswith(line) and b"slave" in each and b"fail" not in each for each in lines)

        wait_until(lambda: all(map(is_known, self.nodes)), "all nodes to know of the replica")

    def owner(self, slot: int, witness: ValkeyServer) -> ValkeyServer:
        """Return the node that has a slot and takes writes, as one of the nodes sees it."""
        ranges = ask(witness.port, "CLUSTER", "SLOTS")
        for each in ranges if isinstance(ranges, list) else []:
            match each:
                case [int(first), int(last), [_, int(port), *_], *_] if first <= slot <= last:
                    return next(node for node in self.nodes if node.port == port)
        raise ServerFailedError(f"Nobody has the slot {slot}.", remedy="Try again.")

    def move(self, slot: int, source: ValkeyServer, target: ValkeyServer) -> None:
        """Move a slot with its keys from its owner to another primary, as resharding does, and tell all."""
        number, identity = str(slot), self.identity(target)
        ask(target.port, "CLUSTER", "SETSLOT", number, "IMPORTING", self.identity(source))
        ask(source.port, "CLUSTER", "SETSLOT", number, "MIGRATING", identity)
        while isinstance(keys := ask(source.port, "CLUSTER", "GETKEYSINSLOT", number, "100"), list) and keys:
            names = [key.decode() for key in keys if isinstance(key, bytes)]
            ask(source.port, "MIGRATE", ports.LOOPBACK, str(target.port), "", "0", "5000", "KEYS", *names)
        for node in (target, source, *self.nodes):
            with contextlib.suppress(OSError, RedisReplyError):  # a dead one, or a replica
                ask(node.port, "CLUSTER", "SETSLOT", number, "NODE", identity)

    def is_whole(self) -> bool:
        """Whether all nodes know of all slots."""
        return all(b"cluster_state:ok" in _text(node, "CLUSTER", "INFO") for node in self.nodes)

    def identity(self, node: ValkeyServer) -> str:
        """Return what the nodes call one of them."""
        return _text(node, "CLUSTER", "MYID").decode()

    def _add_node(self) -> ValkeyServer:
        port = ports.any_free(avoid=self._taken)
        bus = ports.any_free(avoid={*self._taken, port})
        self._taken |= {port, bus}
        options = {**_OPTIONS, "cluster-enabled": "yes", "cluster-port": str(bus)}
        options |= {"cluster-node-timeout": str(2 * NOTICE_MILLISECONDS)}
        node = ValkeyServer(self.directory / f"node {len(self.nodes)}", port, options=options)
        node.start()
        if self.nodes:
            ask(self.nodes[0].port, "CLUSTER", "MEET", ports.LOOPBACK, str(port), str(bus))
        self.nodes.append(node)
        return node


def _text(server: ValkeyServer, *words: str) -> bytes:
    answer = ask(server.port, *words)
    return answer if isinstance(answer, bytes) else b""


def _facts(reply: Reply) -> dict[str, str]:
    words = [word.decode() for word in reply if isinstance(word, bytes)] if isinstance(reply, list) else []
    return dict(zip(words[::2], words[1::2], strict=True))
