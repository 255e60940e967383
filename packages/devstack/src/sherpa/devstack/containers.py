"""Docker's command line: whether its engine can be used, which containers a stack has, who holds a port.

What a stack consists of is Compose's to say: sherpa.devstack.compose.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sherpa.devstack.errors import StackError
from sherpa.devstack.ports import LOOPBACK

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ANSWER_SECONDS = 20.0
NEAR = frozenset({None, "localhost", "::1", LOOPBACK})
FIELDS = ("ID", "Names", "State", "Ports", f'Label "{SERVICE_LABEL}"', f'Label "{PROJECT_LABEL}"')
FORMAT = "\t".join(f"{{{{.{field}}}}}" for field in FIELDS)


class DockerError(StackError):
    """Docker can't be used here, or refused what was asked of it."""


@dataclass(frozen=True)
class Container:
    """A container as `docker ps` lists it; without Compose, `service` and `project` are ""."""

    id: str
    name: str
    state: str
    published: str
    service: str
    project: str

    def publishes(self, port: int) -> bool:
        """Whether it listens on this port of the machine."""
        return f":{port}->" in self.published

    def port_for(self, target: int) -> int | None:
        """The machine's port that leads to this port in the container, while there is one."""
        for mapping in self.published.split(", "):
            outside, _, inside = mapping.partition("->")
            if inside == f"{target}/tcp":
                return int(outside.rpartition(":")[2])
        return None


def require_engine() -> str:
    """Return the engine's version. Raises DockerError, saying why there is none for us and what to do."""
    if shutil.which("docker") is None:
        raise DockerError(
            "Docker is not installed: there is no `docker` on PATH.",
            remedy="Install Docker Engine with Compose v2 (https://docs.docker.com/engine/install), "
            "or go without: inv up --backend embedded",
        )
    try:
        version = ask("version", "--format", "{{.Server.Version}}")
        endpoint = ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    except DockerError as error:
        raise _explain(error) from error
    if not _is_near(endpoint):
        raise DockerError(
            f"Docker's engine is on another machine ({endpoint}), and so are the ports that it publishes.",
            remedy="Choose a local engine (unset DOCKER_HOST, or: docker context use default), "
            "or go without: inv up --backend embedded",
        )
    return version


def ask(*arguments: str) -> str:
    """Run one docker command and return what it prints. Raises DockerError with its own words."""
    command = ["docker", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise DockerError(
            f"Docker does not answer within {ANSWER_SECONDS:.0f} s: {' '.join(command)}",
            remedy="Restart Docker, or go without: inv up --backend embedded",
        ) from error
    if done.returncode:
        raise DockerError(done.stderr.strip() or f"{' '.join(command)} failed.")
    return done.stdout.strip()


def of_project(project: str) -> Sequence[Container]:
    """Every container of a Compose project, running or not."""
    return _list("--all", "--filter", f"label={PROJECT_LABEL}={project}")


def publisher(port: int) -> Container | None:
    """The running container that publishes a port of this machine."""
    return next((each for each in _list("--filter", f"publish={port}") if each.publishes(port)), None)


def _list(*arguments: str) -> Sequence[Container]:
    try:
        lines = ask("ps", "--no-trunc", "--format", FORMAT, *arguments).splitlines()
    except DockerError as error:
        raise _explain(error) from error
    # `ask` strips, so trailing empty fields of the last line may be gone.
    return [Container(*(line.split("\t") + [""] * len(FIELDS))[: len(FIELDS)]) for line in lines]


def _is_near(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme in {"unix", "npipe", "fd"} or (parts.scheme == "tcp" and parts.hostname in NEAR)


def _explain(error: DockerError) -> DockerError:
    words = error.problem
    if "permission denied" in words.lower():
        user = os.environ.get("USER") or "$USER"
        return DockerError(
            f"This user may not talk to Docker's engine: {words}",
            remedy=f"sudo usermod -aG docker {user} (then log in again), "
            "or go without: inv up --backend embedded",
        )
    if error.remedy:
        return error
    return DockerError(
        f"Docker is installed, but its engine does not answer: {words}",
        remedy="Start it (sudo systemctl start docker, or Docker Desktop), "
        "or go without: inv up --backend embedded",
    )
