"""`inv image` and `inv deploy`: from a git checkout to an API that is ready, or to the reason why not."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sherpa.devstack import containers, envfile, ports
from sherpa.devstack.backends.docker import DockerBackend
from sherpa.devstack.stack import Service, Stack, identity_of
from tests.docker.conftest import ROOT, make_stack

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Checkout:
    """A git checkout with an `.env` of its own, on free ports."""

    root: Path
    stack: Stack

    def do(
        self, action: str, environment: dict[str, str] | None = None, *, module: str = "deploy"
    ) -> subprocess.CompletedProcess[str]:
        """Call `image` or `deploy`, or what another module has, as `inv` does."""
        code = f"import sys; from pathlib import Path; from sherpa.devstack.{module} import {action}; "
        return subprocess.run(
            [sys.executable, "-c", f"{code}sys.exit({action}(Path(sys.argv[1])))", str(self.root)],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def git(self, *arguments: str) -> str:
        """Run git here."""
        done = subprocess.run([*GIT, *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def ids(self) -> dict[str, str]:
        """The stack's containers."""
        return {each.service: each.id for each in containers.of_project(self.stack.identity)}

    def set(self, variable: str, value: str) -> None:
        """Change a line of `.env`, or add one."""
        file = envfile.path_of(self.root)
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{variable}=")]
        file.write_text("\n".join([*lines, f"{variable}={value}", ""]))


@pytest.fixture
def checkout(project: Path) -> Iterator[Checkout]:
    """A committed copy of this project; what it deploys is removed afterwards."""
    stack = make_stack(project)
    made = Checkout(project, stack)
    servers = [stack.url(service).port for service in (Service.POSTGRES, Service.REDIS)]
    api = ports.any_free(avoid=servers)
    worker = ports.any_free(avoid=[*servers, api])
    text = (ROOT / ".env.example").read_text()
    envfile.path_of(project).write_text(text)
    made.set("DATABASE_URL", stack.url(Service.POSTGRES).reveal())
    made.set("REDIS_URL", stack.url(Service.REDIS).reveal())
    made.set("PORT", str(api))
    made.set("WORKER_PORT", str(worker))
    made.git("init", "--quiet")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "As it is")
    yield made
    DockerBackend(stack).remove()


def port_of(checkout: Checkout) -> int | None:
    """The API's port, as `.env` has it."""
    return envfile.port_in(envfile.path_of(checkout.root).read_text(), "PORT")


def get(checkout: Checkout, path: str) -> dict[str, object]:
    """Ask the deployed API."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port_of(checkout)}{path}", timeout=10) as answer:
        body: dict[str, object] = json.load(answer)
    return body


def labels_of(image: str) -> dict[str, str]:
    """The Open Container labels of an image."""
    labels = json.loads(containers.ask("inspect", "--format", "{{json .Config.Labels}}", image))
    return {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}


def test_image_is_named_after_its_revision(checkout: Checkout, image_name: str) -> None:
    """The tag and the labels say which commit is in it, and whether more than the commit is."""
    commit = checkout.git("rev-parse", "--short=12", "HEAD")
    clean = checkout.do("image")
    (checkout.root / "services/api/src/sherpa/api/extra.py").write_text('"""Not committed."""\n')
    dirty = checkout.do("image")

    assert (0, 0) == (clean.returncode, dirty.returncode), clean.stderr + dirty.stderr
    assert f"Built {image_name}:{commit}, also {image_name}:latest" in clean.stdout
    assert f"Built {image_name}:{commit}-dirty" in dirty.stdout
    assert commit == labels_of(f"{image_name}:{commit}")["revision"]
    assert checkout.git("show", "--no-patch", "--format=%cI") == labels_of(f"{image_name}:latest")["created"]


def test_deploy_brings_up_everything_and_says_where(checkout: Checkout) -> None:
    """From nothing to all ready at once, no secret in sight; another, or an `up`, changes nothing."""
    first = checkout.do("deploy")
    before = checkout.ids()
    again = checkout.do("deploy")
    beside = checkout.do("up", module="commands")
    shown = containers.ask("inspect", *before.values())

    assert (0, 0) == (first.returncode, again.returncode), first.stdout + first.stderr + again.stderr
    assert f"http://127.0.0.1:{port_of(checkout)}" in first.stdout
    assert "ready" == get(checkout, "/health/ready")["status"]
    assert {"postgres", "redis", "migrate", "api", "worker"} == before.keys()
    assert before == checkout.ids()
    assert 1 == beside.returncode
    assert "`inv deploy` runs this stack's API" in beside.stderr
    for service in (Service.POSTGRES, Service.REDIS):
        password = checkout.stack.url(service).password
        assert password
        assert password.reveal() not in shown + first.stdout + first.stderr


def test_changed_settings_reach_the_api(checkout: Checkout) -> None:
    """A setting that changed in `.env` replaces the API's container, and leaves the servers' alone."""
    checkout.do("deploy")
    before = checkout.ids()
    checkout.set("LOG_FORMAT", "json")

    again = checkout.do("deploy")

    after = checkout.ids()
    assert 0 == again.returncode, again.stderr
    assert {"postgres", "redis"} == {name for name in after if after[name] == before[name]}
    log = subprocess.run(["docker", "logs", after["api"]], capture_output=True, text=True, check=True)
    assert json.loads((log.stdout + log.stderr).splitlines()[0])


def test_callers_shell_is_not_deployed(checkout: Checkout) -> None:
    """Variables of the shell don't count: what is deployed is what `.env` says."""
    done = checkout.do("deploy", {"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/z", "PORT": "1"})

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "ready" == get(checkout, "/health/ready")["status"]


def test_failing_migration_stops_the_deploy(checkout: Checkout) -> None:
    """When `migrate` fails, the API isn't started, and the migration's own words say why."""
    migration = next((checkout.root / "packages/db/src").rglob("sherpa_002_membership.py"))
    migration.write_text(f"{migration.read_text()}\nraise RuntimeError('broken on purpose')\n")

    done = checkout.do("deploy")

    assert 1 == done.returncode
    assert '"migrate" didn\'t complete successfully' in done.stderr
    assert "broken on purpose" in done.stderr
    states = {each.service: each.state for each in containers.of_project(checkout.stack.identity)}
    assert ["created", "created"] == [states["api"], states["worker"]]


def test_taken_port_is_named_before_anything_starts(checkout: Checkout) -> None:
    """The API's port is someone else's: who it is, what to do, and no container."""
    port = ports.any_free()
    checkout.set("PORT", str(port))
    with socket.create_server(("127.0.0.1", port)):
        done = checkout.do("deploy")

    assert 1 == done.returncode
    assert f"Port {port}, which the API needs, is taken by pid {os.getpid()}" in done.stderr
    assert "PORT in .env" in done.stderr
    assert {} == checkout.ids()


def test_servers_elsewhere_are_not_deployed_over(checkout: Checkout) -> None:
    """Settings that name a database on another host are refused, with the page that says what to do."""
    checkout.set("DATABASE_URL", "postgresql://x:y@db.example.com:5432/z")

    done = checkout.do("deploy")

    assert 1 == done.returncode
    assert "DATABASE_URL names db.example.com" in done.stderr
    assert "docs/deployment.md" in done.stderr


def test_first_deploy_writes_env(checkout: Checkout) -> None:
    """In a fresh clone, `deploy` writes `.env` with a password of its own, on ports that are free."""
    envfile.path_of(checkout.root).unlink()

    done = checkout.do("deploy")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "change-me" not in envfile.path_of(checkout.root).read_text()
    assert identity_of(checkout.root) in containers.ask("ps", "--format", "{{.Names}}")
