"""Served processes for the tests, asked over raw sockets, and servers that a test may kill."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

from sherpa.config import DatabaseSettings, RedisSettings, ServiceUrl
from sherpa.db.migrations.runner import migrate
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import OwnFolder

PATIENCE = 90.0  # bounds waiting alone, on a busy machine too: who waits so long in vain has failed
PROGRAM = (sys.executable, str(Path(__file__).with_name("served.py")))
PRODUCT = (sys.executable, "-m", "sherpa.api")


class Answer(NamedTuple):
    """A response as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """Return the body as JSON."""
        decoded: dict[str, object] = json.loads(self.body)
        return decoded


class Wire:
    """One connection, at the level of bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def send(self, data: bytes) -> Self:
        """Send bytes as they are."""
        self.socket.sendall(data)
        return self

    def request(self, target: str, method: str = "GET", headers: str = "", body: bytes = b"") -> Self:
        """Send a request; `headers` are lines that end in CRLF."""
        return self.send(f"{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode() + body)

    def answer(self, method: str = "GET") -> Answer:
        """Read one response to its end."""
        response = HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            response.close()

    def rest(self) -> bytes:
        """Read until the server closes the connection."""
        received = b""
        while True:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                return received
            if not data:
                return received
            received += data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()


class Served:
    """A process that serves, what it has logged, and ways to ask it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.port = int(environment["PORT"])
        self._log = folder / f"{self.port}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=folder
            )

    @property
    def text(self) -> str:
        """Return all that it has written."""
        return self._log.read_text()

    @property
    def events(self) -> list[dict[str, object]]:
        """Return its whole lines, which are JSON."""
        return [json.loads(line) for line in self.text.split("\n")[:-1]]

    def has_logged(self, event: str) -> bool:
        """Tell whether an event is in its log."""
        return any(line["event"] == event for line in self.events)

    def wait_until_logged(self, event: str) -> Self:
        """Wait for an event in its log."""
        self.wait_until(lambda: self.has_logged(event), f"the event {event!r}")
        return self

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; fail with the log when it does not come true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the process ended; waiting for {what}:\n{self.text}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.text}"
            time.sleep(0.01)

    def wait_until_state(self, state: str) -> Answer:
        """Wait until readiness reports a state, and return that answer."""
        self.wait_until_logged("listening")
        self.wait_until(lambda: self.ask("/health/ready").json["status"] == state, f"the state {state}")
        return self.ask("/health/ready")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(PATIENCE)

    def wire(self) -> Wire:
        """Open a connection."""
        return Wire(self.port)

    def ask(self, target: str, method: str = "GET", headers: str = "", body: bytes = b"") -> Answer:
        """Ask on a connection of its own."""
        with self.wire() as wire:
            return wire.request(target, method, headers, body).answer(method)

    def end(self) -> None:
        """End it, whatever it does; gently at first, so that it closes its sessions."""
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment_for(**variables: str) -> dict[str, str]:
    """Return the environment of a served process: quick to stop, logging JSON, on a free port."""
    return {
        "HOST": "127.0.0.1",
        "PORT": str(ports.any_free()),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "SHUTDOWN_DRAIN_SECONDS": "0",
        "DATABASE_URL": "postgresql://nobody:hunter2@127.0.0.1:1/none",
        "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
        **variables,
    }


type Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Return a function that starts a process; what still runs after the test is killed."""
    for server in {"database_settings", "redis_settings", "servers"} & set(request.fixturenames):
        request.getfixturevalue(server)  # set up before us, they outlive our processes
    with ExitStack() as processes:

        def start(command: Sequence[str] = PROGRAM, **variables: str) -> Served:
            served = Served(command, environment_for(**variables), tmp_path)
            processes.callback(served.end)
            return served

        yield start


@pytest.fixture
def start_alone(start: Start) -> Start:
    """Return a function that starts a process without PostgreSQL and Redis, and waits until it serves."""

    def start_alone(**variables: str) -> Served:
        return start(SERVED_ALONE="yes", **variables).wait_until_logged("serving")

    return start_alone


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a process without PostgreSQL and Redis for a whole module."""
    with _serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a process like `served` whose patience is so short that a test can wait for its end."""
    with _serving(tmp_path_factory.mktemp("hasty"), REQUEST_TIMEOUT_SECONDS="2") as served:
        yield served


@contextmanager
def _serving(folder: Path, **variables: str) -> Iterator[Served]:
    served = Served(PROGRAM, environment_for(SERVED_ALONE="yes", **variables), folder)
    try:
        yield served.wait_until_logged("serving")
    finally:
        served.end()


@pytest.fixture
def addresses(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> dict[str, str]:
    """Return the variables of this test's own database and Redis."""
    return {"DATABASE_URL": database_settings.url.reveal(), "REDIS_URL": redis_settings.url.reveal()}


@pytest.fixture
def product() -> Sequence[str]:
    """Return the product's own command."""
    return PRODUCT


class Servers(NamedTuple):
    """A PostgreSQL, migrated, and a Redis of the test's own, to be stopped and killed."""

    postgres: PostgresServer
    valkey: ValkeyServer
    addresses: dict[str, str]


@pytest.fixture
def servers(own_folder: OwnFolder) -> Iterator[Servers]:
    """Return running servers for this test alone; they are stopped after it."""
    password = secrets.token_hex(8)
    with own_folder() as place:
        postgres = PostgresServer(
            place / "postgres",
            ports.any_free(),
            password,
            place.name,
            {"max_connections": "30"},
            durable=False,
        )
        valkey = ValkeyServer(place / "valkey", ports.any_free(), password, durable=False)
        try:
            postgres.start()
            valkey.start()
            addresses = {
                "DATABASE_URL": f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{postgres.port}/postgres",
                "REDIS_URL": f"redis://:{password}@127.0.0.1:{valkey.port}/0",
            }
            asyncio.run(migrate(DatabaseSettings(url=ServiceUrl.parse(addresses["DATABASE_URL"]))))
            yield Servers(postgres, valkey, addresses)
        finally:
            postgres.stop()
            valkey.stop()
