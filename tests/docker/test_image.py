"""The image: built from a checkout as strangers have it, and what its processes do with the least rights."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from sherpa.db.migrations.lock import acquire_lock
from sherpa.devstack import containers, ports
from sherpa.devstack.backends import docker
from sherpa.devstack.compose import Compose
from sherpa.devstack.probe import postgres_options
from sherpa.devstack.stack import Service, Stack
from tests.docker.conftest import bring_up, copy_project

LEAST_RIGHTS = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
READY_SECONDS = 30.0
GRACE_SECONDS = "35"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The image of this tree, from a copy that was made under umask 077."""
    name = f"choice-sherpa-test-{worker_id}:image"
    before = os.umask(0o077)
    try:
        root = copy_project(tmp_path_factory.mktemp("image") / "a checkout", "choice-sherpa-test")
        for path in root.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
    finally:
        os.umask(before)
    build(root, name)
    yield name
    containers.ask("rmi", "--force", name)


def build(root: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Build an image from a copy of this project, with whatever builder Docker takes by itself."""
    dockerfile = root / "infra/docker/Dockerfile"
    done = subprocess.run(
        ["docker", "build", *options, "--tag", name, "--file", dockerfile, root],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert options or done.returncode == 0, done.stdout + done.stderr
    return done


def run(image: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the image to its end, with the least rights."""
    return subprocess.run(
        ["docker", "run", "--rm", *LEAST_RIGHTS, *options, image, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass(frozen=True)
class Running:
    """A container of the image in the network of a stack's servers."""

    id: str
    port: int

    def get(self, path: str) -> tuple[int, dict[str, object]]:
        """Ask the API; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def await_status(self, path: str, status: int) -> dict[str, object]:
        """Wait until a path answers with this status; return the body."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                code, body = self.get(path)
                if code == status:
                    return body
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        """What it has written."""
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def stop(self) -> int:
        """`docker stop`; return the exit code."""
        containers.ask("stop", "--time", GRACE_SECONDS, self.id)
        return int(containers.ask("inspect", "--format", "{{.State.ExitCode}}", self.id))


def settings_file(folder: Path, stack: Stack) -> Path:
    """What the containers' /srv/.env holds, for the stack's servers as they are seen from beside them."""
    file = folder / "settings.env"
    urls = {
        "DATABASE_URL": stack.url(Service.POSTGRES).replace(host="postgres", port=5432),
        "REDIS_URL": stack.url(Service.REDIS).replace(host="redis", port=6379),
    }
    lines = [f"{name}={url.reveal()}" for name, url in urls.items()]
    file.write_text("\n".join([*lines, "ENVIRONMENT=development", "SHUTDOWN_DRAIN_SECONDS=0", ""]))
    return file


def beside(stack: Stack, settings: Path) -> tuple[str, ...]:
    """The options that put a container beside a stack's servers."""
    return (f"--network={stack.identity}_default", f"--volume={settings}:/srv/.env:ro")


@pytest.fixture
def servers(stack: Stack, tmp_path: Path) -> tuple[str, ...]:
    """Running servers, as options for a container beside them."""
    bring_up(stack)
    return beside(stack, settings_file(tmp_path, stack))


@contextlib.contextmanager
def api(
    image: str, servers: tuple[str, ...], *, command: str = "api", inside: int = 8080
) -> Iterator[Running]:
    """The API's container, or another command's, with the least rights, for the length of the block."""
    port = ports.any_free()
    publish = f"--publish=127.0.0.1:{port}:{inside}"
    made = containers.ask("run", "--detach", *LEAST_RIGHTS, *servers, publish, image, command)
    try:
        yield Running(made, port)
    finally:
        containers.ask("rm", "--force", made)


def test_it_holds_what_runs_and_nothing_else(image: str) -> None:
    """No tests, no development tools, no compiler, no caches; every module of ours compiled beforehand."""
    found = run(image, "-c", LOOK, options=("--entrypoint=python",))

    seen = json.loads(found.stdout)
    assert [] == seen["unwanted"]
    assert [] == seen["uncompiled"]
    assert {
        "sherpa.api",
        "sherpa.config",
        "sherpa.db",
        "sherpa.events",
        "sherpa.membership",
        "sherpa.telemetry",
        "sherpa.worker",
    } == set(seen["members"])


LOOK = """
import importlib.util, json, pathlib, pkgutil, shutil, sherpa
ours = pathlib.Path("/opt")
folders = [path for path in ours.rglob("*") if path.is_dir()]
print(json.dumps({
    "unwanted": [name for name in ("pytest", "invoke", "nox", "uv", "psutil", "sherpa.devstack", "tests")
                 if importlib.util.find_spec(name)]
              + [tool for tool in ("gcc", "cc", "g++", "make", "curl", "git", "uv") if shutil.which(tool)]
              + [str(path) for path in folders if path.name in {"tests", ".cache", "wheels"}]
              + [str(path) for path in pathlib.Path("/tmp").iterdir()],
    "uncompiled": [str(path) for path in (ours / "sherpa/lib/sherpa").rglob("*.py")
                   if not pathlib.Path(importlib.util.cache_from_source(path)).exists()],
    "members": ["sherpa." + module.name for module in pkgutil.iter_modules(sherpa.__path__)],
}))
"""


def test_it_runs_as_its_fixed_user_on_a_read_only_file_system(image: str) -> None:
    """The user is 10001, owns nothing, and can't write anywhere but /tmp."""
    look = (
        "id -u; id -g; touch /srv/x /opt/x /tmp/x; find / -xdev -user 10001 -not -path '/tmp/*' 2>/dev/null"
    )

    done = run(image, "-c", look, options=("--entrypoint=/bin/sh",))

    assert ["10001", "10001"] == done.stdout.split()
    assert 2 == done.stderr.count("Read-only file system")


@pytest.mark.parametrize(("argument", "code"), [("migrate", 1), ("api", 2), ("nonsense", 2)])
def test_it_says_what_it_lacks(image: str, argument: str, code: int) -> None:
    """Without settings each process names the variable that is missing; an unknown one is named itself."""
    done = run(image, argument)

    assert code == done.returncode
    assert ("'nonsense'" if argument == "nonsense" else "DATABASE_URL") in done.stderr


def test_migrate_brings_the_schema_to_head_once(image: str, servers: tuple[str, ...]) -> None:
    """The first `migrate` applies everything, the second nothing; `migrations` lists the same."""
    first = run(image, "migrate", options=servers)
    again = run(image, "migrate", options=servers)
    listed = run(image, "migrations", "--json", options=servers)

    assert "001_foundation" in first.stdout
    assert "001_foundation" not in again.stdout
    assert json.loads(listed.stdout)["at_head"] is True
    assert [0, 0, 0] == [done.returncode for done in (first, again, listed)]


def test_api_serves_and_stops_within_its_grace(image: str, servers: tuple[str, ...]) -> None:
    """Ready on the migrated database, healthy to the engine, and `docker stop` ends it with 0."""
    run(image, "migrate", options=servers)
    with api(image, servers) as container:
        body = container.await_status("/health/ready", 200)
        check = ["exec", container.id, "python", "-I", "-S", "/opt/sherpa/bin/healthcheck.py"]
        containers.ask(*check, "/health/live")
        containers.ask(*check, "/health/ready")

        code = container.stop()

        assert "ready" == body["status"]
        assert 0 == code, container.log()


def test_worker_works_and_stops_within_its_grace(image: str, servers: tuple[str, ...]) -> None:
    """The same for the worker: ready, healthy by the same check at its own port, ended with 0."""
    run(image, "migrate", options=servers)
    with api(image, servers, command="worker", inside=8081) as container:
        body = container.await_status("/health/ready", 200)
        check = ["exec", container.id, "python", "-I", "-S", "/opt/sherpa/bin/healthcheck.py"]
        containers.ask(*check, "/health/live")
        containers.ask(*check, "/health/ready")

        code = container.stop()

        assert "ready" == body["status"]
        assert 0 == code, container.log()


def test_emails_for_nobody_are_written_with_the_least_rights(
    image: str, stack: Stack, servers: tuple[str, ...]
) -> None:
    """Where no sender is configured the worker writes e-mails to /tmp, and does so again after a restart."""
    run(image, "migrate", options=servers)
    with api(image, servers, command="worker", inside=8081) as container:
        publish_a_membership(stack)
        await_emails(container)
        containers.ask("restart", "--time", GRACE_SECONDS, container.id)
        before = emails(container)
        publish_a_membership(stack)
        await_emails(container)

    assert [] == before


def publish_a_membership(stack: Stack) -> None:
    """Write the event that a member is welcomed for, as any code may: with the columns that it knows."""

    async def publish() -> None:
        connection = await asyncpg.connect(**postgres_options(stack))
        try:
            await connection.execute("""
                INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) VALUES (
                    'membership', gen_random_uuid(), 'membership.created',
                    jsonb_build_object('user_id', gen_random_uuid(), 'tier', 'free', 'status', 'active'))
            """)
        finally:
            await connection.close()

    asyncio.run(publish())


def emails(container: Running) -> list[str]:
    """The e-mails that are in a worker's container."""
    look = ["docker", "exec", container.id, "find", "/tmp/outgoing", "-name", "*.eml"]
    return subprocess.run(look, capture_output=True, text=True, check=False).stdout.split()


def await_emails(container: Running) -> None:
    """Wait until there is one."""
    deadline = time.monotonic() + READY_SECONDS
    while not emails(container):
        assert time.monotonic() < deadline, container.log()
        time.sleep(0.1)


def test_workers_are_scaled_side_by_side(image: str, stack: Stack, tmp_path: Path) -> None:
    """Compose starts as many as one likes, each on a port of its own; one that goes leaves its seats."""
    settings = {"SHERPA_IMAGE": image, "SHERPA_SETTINGS": str(settings_file(tmp_path, stack))}
    compose = Compose(stack.root, stack.identity, docker.variables(stack) | settings)
    compose.run("up", "--detach", "--wait", "--scale", "worker=2", "worker")
    first, second = (
        Running(each.id, each.port_for(8081) or 0)
        for each in containers.of_project(stack.identity)
        if each.service == "worker"
    )
    await_metric(first, "sherpa_events_workers 2.0")

    code = first.stop()

    assert 0 == code, first.log()
    await_metric(second, "sherpa_events_workers 1.0")
    await_metric(second, 'sherpa_events_relay_leader{partition="0"} 1.0')


def await_metric(container: Running, line: str) -> None:
    """Wait until a worker's metrics hold this line."""
    deadline = time.monotonic() + READY_SECONDS
    while line not in (shown := scrape(container)).splitlines():
        assert time.monotonic() < deadline, shown + container.log()
        time.sleep(0.1)


def scrape(container: Running) -> str:
    """What a worker's /metrics says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{container.port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def test_request_under_way_is_finished_before_the_end(image: str, servers: tuple[str, ...]) -> None:
    """SIGTERM reaches the process, not a shell before it: an open connection's request is still answered."""
    run(image, "migrate", options=servers)
    with api(image, servers) as container:
        container.await_status("/health/ready", 200)
        with socket.create_connection(("127.0.0.1", container.port), timeout=10) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
            containers.ask("kill", "--signal=TERM", container.id)
            await_log(container, "told to stop")
            connection.sendall(b"Connection: close\r\n\r\n")
            answer = connection.makefile("rb").readline()

        assert b"HTTP/1.1 200" in answer
        assert "0" == containers.ask("wait", container.id)


def await_log(container: Running, words: str) -> None:
    """Wait until the container has written these words."""
    deadline = time.monotonic() + READY_SECONDS
    while words not in container.log():
        assert time.monotonic() < deadline, container.log()
        time.sleep(0.02)


def test_api_is_not_ready_before_the_schema_is(image: str, servers: tuple[str, ...]) -> None:
    """Alive but not ready on an empty database, and ready by itself when another container has migrated."""
    with api(image, servers) as container:
        container.await_status("/health/live", 200)
        body = container.await_status("/health/ready", 503)
        run(image, "migrate", options=servers)
        container.await_status("/health/ready", 200)

    assert "ready" != body["status"]


def test_waiting_migration_ends_when_told_to(image: str, stack: Stack, servers: tuple[str, ...]) -> None:
    """A `migrate` that waits for another one's lock ends at once on SIGTERM, with 1 and a word about it."""
    run(image, "migrate", options=servers)
    with holding_the_lock(stack):
        made = containers.ask("run", "--detach", *LEAST_RIGHTS, *servers, image, "revert")
        container = Running(made, 0)
        try:
            await_log(container, "Waiting")
            containers.ask("kill", "--signal=TERM", container.id)

            assert "1" == containers.ask("wait", container.id), container.log()
            assert "Interrupted" in container.log()
        finally:
            containers.ask("rm", "--force", container.id)


@contextlib.contextmanager
def holding_the_lock(stack: Stack) -> Iterator[None]:
    """Hold the lock that keeps runners apart, as another runner would."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(**postgres_options(stack)))
        runner.run(acquire_lock(connection, 0, lambda _: None))
        yield
        runner.run(connection.close())


def test_stale_requirements_fail_the_build(tmp_path: Path) -> None:
    """When requirements/ lack what a member declares, no image is built."""
    root = copy_project(tmp_path / "a checkout", "choice-sherpa-test")
    requirements = root / "requirements/image.txt"
    kept = [part for part in requirements.read_text().split("\n") if part]
    start = next(number for number, line in enumerate(kept) if line.startswith("structlog=="))
    end = next(number for number in range(start + 1, len(kept)) if not kept[number].startswith(" "))
    requirements.write_text("\n".join(kept[:start] + kept[end:]) + "\n")

    done = build(root, "choice-sherpa-test:stale", "--progress=plain")

    assert done.returncode != 0
    assert "requires structlog" in done.stdout + done.stderr
