"""Workers as processes for the tests, asked over HTTP, and servers that a test may kill."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from sherpa.config import DatabaseSettings, RedisSettings, ServiceUrl
from sherpa.db.migrations.runner import migrate
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import OwnFolder

PATIENCE = 90.0  # bounds waiting alone, on a busy machine too: who waits so long in vain has failed
PRODUCT = ("-m", "sherpa.worker")
WORKING = (str(Path(__file__).with_name("working.py")),)


class Answer(NamedTuple):
    """A response."""

    status: int
    content_type: str
    text: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the body as JSON."""
        decoded: dict[str, Any] = json.loads(self.text)
        return decoded


class WorkerProcess:
    """A worker, what it has logged, and ways to ask it."""

    def __init__(self, program: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.port = int(environment["WORKER_PORT"])
        self._log = folder / f"{self.port}.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    @property
    def text(self) -> str:
        """Return all that it has written."""
        return self._log.read_text()

    def has_logged(self, event: str) -> bool:
        """Tell whether an event is in its log."""
        lines = [line for line in self.text.split("\n")[:-1] if line.startswith("{")]
        return any(json.loads(line)["event"] == event for line in lines)

    def wait_until(self, condition: Callable[[], bool], what: str) -> Self:
        """Wait for a condition; fail with the log when it does not come true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the process ended; waiting for {what}:\n{self.text}"
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.text}"
            time.sleep(0.02)
        return self

    def wait_until_logged(self, event: str) -> Self:
        """Wait for an event in its log."""
        return self.wait_until(lambda: self.has_logged(event), f"the event {event!r}")

    def wait_until_state(self, state: str) -> Answer:
        """Wait until readiness reports a state, and return that answer."""
        self.wait_until_logged("listening")
        self.wait_until(lambda: self.ask("/health/ready").json["status"] == state, f"the state {state}")
        return self.ask("/health/ready")

    def wait_until_metric(self, line: str) -> Self:
        """Wait until /metrics holds exactly this line."""
        self.wait_until_logged("listening")
        return self.wait_until(lambda: line in self.ask("/metrics").text.splitlines(), line)

    def ask(self, path: str, method: str = "GET") -> Answer:
        """Ask on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return Answer(response.status, response.headers["Content-Type"], response.read().decode())
        finally:
            connection.close()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> Self:
        """Send a signal."""
        self.process.send_signal(number)
        return self

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """End it, whatever it does; gently at first, so that it closes its sessions."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def environment_for(**variables: str) -> dict[str, str]:
    """Return the environment of a worker: logging JSON, on a free port, without servers."""
    return {
        "WORKER_HOST": "127.0.0.1",
        "WORKER_PORT": str(ports.any_free()),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "DATABASE_URL": "postgresql://nobody:hunter2@127.0.0.1:1/none",
        "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
        **variables,
    }


type Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Return a function that starts a worker; what still runs after the test is ended."""
    for server in {"database_settings", "redis_settings", "servers"} & set(request.fixturenames):
        request.getfixturevalue(server)  # set up before us, they outlive our processes
    with ExitStack() as processes:

        def start(program: Sequence[str] = PRODUCT, **variables: str) -> WorkerProcess:
            worker = WorkerProcess(program, environment_for(**variables), tmp_path)
            processes.callback(worker.end)
            return worker

        yield start


@pytest.fixture
def working() -> Sequence[str]:
    """Return the program whose only handler writes a row to `effects` and takes WORK_SECONDS."""
    return WORKING


@pytest.fixture
def addresses(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> dict[str, str]:
    """Return the variables of this test's own database and Redis."""
    return {"DATABASE_URL": database_settings.url.reveal(), "REDIS_URL": redis_settings.url.reveal()}


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
            {"max_connections": "50"},
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
