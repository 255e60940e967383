"""Redis behind TLS (rediss://): each server of every arrangement must prove who it is before it hears a word.

The embedded server speaks no TLS, so what ends it here stands before the real servers, and names itself
where Sentinels and nodes name these.
"""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from packages.events.tests.brokers.conftest import Open
from sherpa.config import RedisSettings
from sherpa.config.choices import RedisSslMode
from sherpa.devstack.embedded.arrangements import Cluster, WatchedServers
from sherpa.events.errors import BrokerRefusedError, BrokerUnavailableError

HOST = "127.0.0.1"


@dataclass
class Front:
    """Listens with TLS before servers, and in what these say puts its own ports in the place of theirs."""

    ports: list[int]
    certificate: Path
    ours: dict[bytes, bytes] = field(default_factory=dict)
    heard: int = 0
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Front"]:
        """Listen until the block ends."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        listeners = [await self._listen(port, context) for port in self.ports]
        try:
            yield self
        finally:
            for listener in listeners:
                listener.close()
            for connection in self.connections:
                connection.transport.abort()

    def port(self, port: int) -> int:
        """Return where a server's port is now."""
        return int(self.ours[str(port).encode()])

    async def _listen(self, port: int, context: ssl.SSLContext) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(HOST, port)
            self.connections += [writer, far_writer]
            ways = {self._pass_on(reader, far_writer), self._answer(far_reader, writer)}
            await asyncio.wait(map(asyncio.ensure_future, ways))

        listener = await asyncio.start_server(accept, HOST, 0, ssl=context)
        self.ours[str(port).encode()] = str(listener.sockets[0].getsockname()[1]).encode()
        return listener

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                self.heard += len(data)
                writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = re.compile(b"|".join(self.ours))
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(theirs.sub(lambda found: self.ours[found[0]], data))
        writer.close()


@pytest.fixture(scope="module")
def certificates(place: Path) -> dict[str, Path]:
    """Return certificates for this host and for another one, each of its own issuer; skip without openssl."""
    made = {}
    for name, host in {"right": f"IP:{HOST}", "stranger": f"IP:{HOST}", "elsewhere": "DNS:elsewhere"}.items():
        made[name] = place / f"{name}.pem"
        key = place / f"{name}.key"
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
        options = ["-addext", f"subjectAltName={host}", "-keyout", str(key), "-out", str(made[name])]
        try:
            subprocess.run(["openssl", *words.split(), *options], check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("needs the openssl command, to make a certificate")
        made[name].write_text(made[name].read_text() + key.read_text())
    return made


@pytest.fixture(params=["standalone", "sentinel", "cluster"])
def plain(request: pytest.FixtureRequest) -> tuple[RedisSettings, list[int]]:
    """Return settings for each arrangement in turn, without TLS, and the ports of all its servers."""
    name = {"standalone": "redis_settings"}.get(request.param, f"{request.param}_settings")
    settings: RedisSettings = request.getfixturevalue(name)
    if request.param == "sentinel":
        watched: WatchedServers = request.getfixturevalue("watched_servers")
        return settings, [watched.sentinel_port, *(server.port for server in watched.servers)]
    if request.param == "cluster":
        cluster: Cluster = request.getfixturevalue("cluster")
        return settings, [node.port for node in cluster.nodes]
    return settings, [settings.url.port]


def behind(front: Front, settings: RedisSettings) -> RedisSettings:
    """Return the settings that lead through TLS."""
    first, *others = [front.port(port) for _, port in settings.servers if port in front.ports]
    return replace(
        settings,
        url=settings.url.replace(scheme="rediss", host=HOST, port=first),
        nodes=tuple(f"{HOST}:{port}" for port in others),
        ssl_mode=RedisSslMode.VERIFY_FULL,
    )


async def test_all_servers_are_spoken_to_through_tls(
    plain: tuple[RedisSettings, list[int]],
    certificates: dict[str, Path],
    open_broker: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commands and waiting, of partitions on several servers, go the same way."""
    settings, servers = plain
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates["right"]))
    async with Front(servers, certificates["right"]).serve() as front:
        broker = open_broker(behind(front, settings))
        for partition in range(6):
            await broker.append(partition, await broker.take(partition, "relay"), [{"n": "1"}])
            await broker.ensure_group(partition, "h")
            await broker.read(partition, "h", "c", await broker.take(partition, "h"), count=9)
            await broker.wait(partition, "h", seconds=0.01)

        assert list(range(6)) == await broker.partitions()
        assert [] != await broker.weaknesses()
        await broker.close()


@pytest.mark.parametrize("name", ["stranger", "elsewhere"])
async def test_server_that_is_not_trusted_is_told_nothing(
    plain: tuple[RedisSettings, list[int]],
    certificates: dict[str, Path],
    open_broker: Open,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A certificate of an unknown issuer, or for another host, ends it before the password is sent."""
    settings, servers = plain
    trusted = certificates["right" if name == "stranger" else name]
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with Front(servers, certificates[name]).serve() as front:
        with pytest.raises(BrokerRefusedError, match="let this machine trust who issued it"):
            await open_broker(behind(front, settings)).take(0, "relay")

    assert 0 == front.heard


async def test_server_without_tls_is_left(redis_settings: RedisSettings, open_broker: Open) -> None:
    """Where TLS is wanted and the server has none, which only waits for more, the attempt ends in time."""
    settings = replace(redis_settings, url=redis_settings.url.replace(scheme="rediss"), timeout_seconds=0.5)

    with pytest.raises(BrokerUnavailableError):
        await open_broker(settings).take(0, "relay")


async def test_server_with_tls_alone_is_not_spoken_to_without(
    redis_settings: RedisSettings, certificates: dict[str, Path], open_broker: Open
) -> None:
    """A URL that begins with redis:// doesn't reach it, and the error comes at once."""
    async with Front([redis_settings.url.port], certificates["right"]).serve() as front:
        port = front.port(redis_settings.url.port)
        settings = replace(redis_settings, url=redis_settings.url.replace(port=port), timeout_seconds=2)
        with pytest.raises(BrokerUnavailableError):
            await open_broker(settings).take(0, "relay")
