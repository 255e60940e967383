"""PostgreSQL and Redis in containers, by Compose; the same project also holds what `inv deploy` runs.

A container is disposable, its volume is not: whatever was stopped, killed or half-made by hand is made again.
"""

import hashlib
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from sherpa.devstack import containers, ports
from sherpa.devstack.backends.backend import BackendName, Command, Say, ServiceState
from sherpa.devstack.compose import Compose, find_compose
from sherpa.devstack.containers import Container, DockerError
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import SERVERS, Service, Stack

INSIDE = {Service.POSTGRES: 5432, Service.REDIS: 6379, Service.API: 8080, Service.WORKER: 8081}


class DockerBackend:
    """Compose's services `postgres` and `redis` in a project that is named after the stack's identity."""

    name: Final = BackendName.DOCKER

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._compose = Compose(stack.root, stack.identity, variables(stack))

    def start(self, services: Collection[Service], say: Say) -> None:
        """Bring the containers up. Raises DockerError; who else holds a port of ours is named."""
        if Service.POSTGRES in services and not self._stack.url(Service.POSTGRES).password:
            raise StackError(
                "DATABASE_URL names no password, and PostgreSQL's image refuses to start without one.",
                remedy="Put one into .env: DATABASE_URL=postgresql://user:PASSWORD@127.0.0.1:5432/choice_sherpa",
            )
        containers.require_engine()
        present = {each.service: each for each in containers.of_project(self._stack.identity)}
        for service in services:
            self._clear_the_way(service, present.get(service))
        self._compose.run("up", "--detach", *services, say=say)

    def stop(self) -> Sequence[Service]:
        """Take all containers and the network away, those of `inv deploy` too; the volumes stay."""
        present = containers.of_project(self._stack.identity)
        if present:
            self._compose.run("down", "--remove-orphans")
        running = {each.service for each in present if each.state in {"running", "paused"}}
        return [service for service in Service if service in running]

    def remove(self) -> None:
        """Take the volumes away, too."""
        self._compose.run("down", "--remove-orphans", "--volumes")

    def states(self) -> Mapping[Service, ServiceState]:
        """What the engine shows; our own processes, too, while `inv deploy` has put them there."""
        present = {each.service: each for each in containers.of_project(self._stack.identity)}
        return {
            service: _state(service, present.get(service))
            for service in Service
            if service in SERVERS or service in present
        }

    def log(self, service: Service, *, follow: bool) -> Path | Command | None:
        """What prints the container's log, while there is a container."""
        if all(each.service != service for each in containers.of_project(self._stack.identity)):
            return None
        options = ["--no-color", "--no-log-prefix", *(["--follow"] if follow else [])]
        return self._compose.command("logs", *options, service)

    def psql(self, command: str | None) -> Command:
        """The container's psql; inside the container, no password is asked for."""
        url = self._stack.url(Service.POSTGRES)
        arguments = [f"--username={url.username}", f"--dbname={url.database}"]
        return self._run_inside(
            Service.POSTGRES, "psql", *arguments, *(["--command", command] if command else [])
        )

    def redis_cli(self, command: str | None) -> Command:
        """The container's redis-cli; the password stays in the environment."""
        url = self._stack.url(Service.REDIS)
        arguments = ["-n", url.database or "0", *(["--user", url.username] if url.username else [])]
        access = {"REDISCLI_AUTH": url.password.reveal()} if url.password else {}
        return self._run_inside(Service.REDIS, "redis-cli", *arguments, *shlex.split(command or ""), **access)

    def _run_inside(self, service: Service, *arguments: str, **environment: str) -> Command:
        options = [] if sys.stdin.isatty() else ["--no-TTY"]
        # By name only: Compose takes the value from its environment, and it stands on no command line.
        options += [word for name in environment for word in ("--env", name)]
        command = self._compose.command("exec", *options, service, *arguments)
        return Command(command.arguments, {**command.environment, **environment})

    def _clear_the_way(self, service: Service, container: Container | None) -> None:
        if container and container.state == "paused":
            containers.ask("unpause", container.id)
        elif container and container.state != "running":
            # Compose would start it as it is: on a network that may be gone, with what it was told long ago.
            containers.ask("rm", "--force", container.id)
        port = self._stack.url(service).port
        if not (container and container.publishes(port)) and not ports.is_free(port):
            raise DockerError(f"Port {port}, which {service} needs, is taken by {holder(port)}.")


def absence() -> str:
    """Why Docker can't be used here, in words for a person and without a full stop, or "" when it can."""
    try:
        containers.require_engine()
        find_compose()
    except DockerError as error:
        return error.problem.rstrip(".")
    return ""


def holder(port: int) -> str:
    """Who listens on a port, for a person to read: a container by its name, else a process."""
    container = containers.publisher(port)
    if container is None:
        return ports.holder(port)
    project = f" of the Compose project {container.project}" if container.project else ""
    return f"the container {container.name}{project}"


def variables(stack: Stack) -> dict[str, str]:
    """What infra/docker/compose.yaml takes from the stack's settings."""
    postgres, redis = stack.url(Service.POSTGRES), stack.url(Service.REDIS)
    return {
        "SHERPA_IDENTITY": stack.identity,
        "SHERPA_POSTGRES_USER": postgres.username,
        "SHERPA_POSTGRES_DATABASE": postgres.database,
        "SHERPA_POSTGRES_PASSWORD": postgres.password.reveal() if postgres.password else "",
        "SHERPA_POSTGRES_PORT": str(postgres.port),
        "SHERPA_REDIS_PORT": str(redis.port),
        "SHERPA_REDIS_ACCESS": _redis_access(
            redis.username, redis.password.reveal() if redis.password else ""
        ),
    }


def _redis_access(username: str, password: str) -> str:
    """Lines of redis.conf that let in whom REDIS_URL names; Redis is told a hash, never the password."""
    rules = ["protected-mode no"]
    if password:
        digest = hashlib.sha256(password.encode()).hexdigest()
        rules += [f"user {username or 'default'} on #{digest} ~* &* +@all"]
        rules += ["user default off"] if username not in {"", "default"} else []
    return "\n".join(rules)


def _state(service: Service, container: Container | None) -> ServiceState:
    if container is None:
        return ServiceState(service, "absent")
    port = container.port_for(INSIDE[service])
    return ServiceState(service, container.state, container=container.name, port=port)
