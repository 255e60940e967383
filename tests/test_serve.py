"""Stories about the served process, as an operator lives them: `python -m sherpa.api` on real servers."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sherpa.config import DatabaseSettings, RedisSettings
from sherpa.devstack import ports

PATIENCE = 30.0


class Api:
    """The product's own command, on a free port."""

    def __init__(
        self,
        folder: Path,
        database: DatabaseSettings,
        redis: RedisSettings,
        *arguments: str,
        **variables: str,
    ) -> None:
        self.port = ports.any_free()
        self.log = folder / "api.log"
        environment = {
            **os.environ,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "LOG_FORMAT": "json",
            "DATABASE_URL": database.url.reveal(),
            "REDIS_URL": redis.url.reveal(),
            **variables,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sherpa.api", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    def status_of(self, path: str) -> int | None:
        """Return the status of a path, None where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionRefusedError:
            return None
        finally:
            connection.close()

    def wait_for(self, path: str, status: int) -> None:
        """Wait until a path answers so."""
        deadline = time.monotonic() + PATIENCE
        while self.status_of(path) != status:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)


type StartApi = Callable[..., Api]


@pytest.fixture
def start_api(
    tmp_path: Path, database_settings: DatabaseSettings, redis_settings: RedisSettings
) -> Iterator[StartApi]:
    """Return a function that starts the API; what still runs after the test is killed."""
    started: list[Api] = []

    def start_api(*arguments: str, **variables: str) -> Api:
        started.append(Api(tmp_path, database_settings, redis_settings, *arguments, **variables))
        return started[-1]

    yield start_api
    for api in started:
        api.process.kill()
        api.process.wait()


def test_balancer_that_asks_readiness_loses_no_request(start_api: StartApi) -> None:
    """While a process is told to stop under load, every request sent before readiness says no is answered."""
    api = start_api(SHUTDOWN_DRAIN_SECONDS="600")
    api.wait_for("/health/ready", 200)
    out_of_rotation = threading.Event()
    statuses: list[int | None] = []

    def send_requests() -> None:
        while not out_of_rotation.is_set():
            statuses.append(api.status_of("/some/page"))

    clients = [threading.Thread(target=send_requests) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(0.3)
    before = len(statuses)
    api.process.send_signal(signal.SIGTERM)
    api.wait_for("/health/ready", 503)
    out_of_rotation.set()
    for client in clients:
        client.join()
    api.process.send_signal(signal.SIGTERM)  # ends the drain

    assert {404} == set(statuses)
    assert len(statuses) >= before > 0
    assert 0 == api.process.wait(PATIENCE)


def test_replacement_takes_the_port_over(start_api: StartApi) -> None:
    """Once a process has ended its port is free at once: the next one serves on it."""
    first = start_api(SHUTDOWN_DRAIN_SECONDS="0")
    first.wait_for("/health/ready", 200)
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(PATIENCE)

    second = start_api(PORT=str(first.port), SHUTDOWN_DRAIN_SECONDS="0")
    second.port = first.port
    second.wait_for("/health/ready", 200)

    assert second.process.poll() is None


def test_developer_reloads(start_api: StartApi) -> None:
    """`--reload` serves through a child, and ends with it, leaving nobody behind."""
    watched = start_api("--reload", SHUTDOWN_DRAIN_SECONDS="0")
    watched.wait_for("/health/ready", 200)

    watched.process.send_signal(signal.SIGTERM)
    code = watched.process.wait(PATIENCE)

    assert 0 == code
    assert watched.status_of("/health/live") is None
