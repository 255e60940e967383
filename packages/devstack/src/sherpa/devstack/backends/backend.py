"""What every backend can do. Whether a server is ready and ours is decided by a client's probe, not here."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sherpa.devstack.stack import Service

type Say = Callable[[str], None]


class BackendName(StrEnum):
    """The backends, as `--backend` names them."""

    DOCKER = "docker"
    EMBEDDED = "embedded"
    EXTERNAL = "external"


@dataclass(frozen=True)
class ServiceState:
    """A server as its backend sees it, without asking the server.

    `state` is a word for people: running, starting, stopped, absent, or Docker's own (exited, paused, …).
    """

    service: Service
    state: str
    pid: int | None = None
    container: str | None = None
    port: int | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process or container that runs, ready or not."""
        return self.state in {"running", "starting"}


@dataclass(frozen=True)
class Command:
    """A command to run in the foreground; `environment` is added to ours and may hold a password."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Backend(Protocol):
    """PostgreSQL and Redis for one stack. Any method may raise StackError; none waits for a client.

    A backend acts on the services that it is given, which are never other than `stack.local`. What changes
    something is called under the checkout's lock, so never twice at once for one stack.

    Made as `DockerBackend(stack)`, `EmbeddedBackend(stack)`, `ExternalBackend(stack)`. The module docker also
    has `absence() -> str`: why Docker can't be used here, in words for a person, or "" when it can.
    """

    @property
    def name(self) -> BackendName:
        """Which backend this is."""
        ...

    def start(self, services: Collection[Service], say: Say) -> None:
        """Start these servers (at the same time) where they don't run; their data is made when there is none.

        They carry the stack's identity: PostgreSQL as `cluster_name`, Redis as `syslog-ident`. `say` takes a
        line of progress, such as an image that is pulled.
        """
        ...

    def stop(self) -> Sequence[Service]:
        """Stop whatever of this stack runs and keep its data; return what was stopped."""
        ...

    def remove(self) -> None:
        """Stop whatever runs and delete its data. Nothing happens when there is none."""
        ...

    def states(self) -> Mapping[Service, ServiceState]:
        """Each server that this backend has or could have."""
        ...

    def log(self, service: Service, *, follow: bool) -> Path | Command | None:
        """Where a server's log is: a file, or a command that prints it (and goes on with `follow`)."""
        ...

    def psql(self, command: str | None) -> Command:
        """What opens psql on the stack's database, or with it runs one command."""
        ...

    def redis_cli(self, command: str | None) -> Command:
        """What opens redis-cli on the stack's Redis, or runs one command."""
        ...
