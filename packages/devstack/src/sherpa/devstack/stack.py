"""One checkout's stack: where its root is, who it is, and which servers its settings ask for."""

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sherpa.config import DatabaseSettings, RedisSettings, ServerSettings, ServiceUrl, WorkerSettings
from sherpa.devstack.errors import StackError

PROJECT = "choice-sherpa"
# Where we listen is 127.0.0.1. A URL that names another address, even ::1, is for a server that isn't ours.
OURS = frozenset({"127.0.0.1", "localhost"})


class Service(StrEnum):
    """What a stack is made of."""

    POSTGRES = "postgres"
    REDIS = "redis"
    API = "api"
    WORKER = "worker"


SERVERS = (Service.POSTGRES, Service.REDIS)
APPS = (Service.API, Service.WORKER)
# As they are called in a sentence, behind an article.
TITLES = {Service.API: "API", Service.WORKER: "worker"}


@dataclass(frozen=True)
class StackSettings:
    """The sections that the stack is brought up by."""

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    worker: WorkerSettings


@dataclass(frozen=True)
class Stack:
    """A checkout and its settings. `root` is absolute and resolved."""

    root: Path
    settings: StackSettings

    @property
    def identity(self) -> str:
        """What this stack calls itself: PostgreSQL's cluster_name, Redis' syslog-ident, Compose's project."""
        return identity_of(self.root)

    def url(self, service: Service) -> ServiceUrl:
        """Where a server is, by the settings."""
        return self.settings.database.url if service is Service.POSTGRES else self.settings.redis.url

    def port(self, service: Service) -> int:
        """On which port a server or a process of ours is, by the settings."""
        match service:
            case Service.API:
                return self.settings.server.port
            case Service.WORKER:
                return self.settings.worker.port
            case _:
                return self.url(service).port

    def host(self, app: Service) -> str:
        """On which address a process of ours listens, by the settings."""
        return self.settings.server.host if app is Service.API else self.settings.worker.host

    def stop_seconds(self, app: Service) -> float:
        """How long a process of ours may take to stop."""
        if app is Service.WORKER:
            return self.settings.worker.grace_seconds
        return self.settings.server.drain_seconds + self.settings.server.shutdown_grace_seconds

    @property
    def local(self) -> tuple[Service, ...]:
        """The servers that the settings want on this machine, and so from us."""
        return tuple(service for service in SERVERS if self.url(service).host in OURS)


def identity_of(root: Path) -> str:
    """The identity of the checkout at this path: no two paths have the same, so two clones never meet."""
    return f"{PROJECT}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:10]}"


def is_identity(name: str) -> bool:
    """Whether a server of this name belongs to a stack of this kind, be it ours or another checkout's."""
    project, _, digest = name.rpartition("-")
    return project == PROJECT and len(digest) == 10 and set(digest) <= set("0123456789abcdef")


def state_directory(root: Path) -> Path:
    """Where a checkout's stack keeps what it must remember; closed to all others.

    Raises StackError when it can't be made, or is somebody else's.
    """
    directory = root / ".sherpa"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"{directory} can't be made: {error.strerror}.",
            remedy="Check that the checkout is yours and writable, and that the disk has room (df -h).",
        ) from error
    if not is_usable(directory):
        raise _closed(directory)
    return directory


def is_usable(directory: Path) -> bool:
    """Whether we may look into a directory and change what is in it."""
    return os.access(directory, os.R_OK | os.W_OK | os.X_OK)


def _closed(directory: Path) -> StackError:
    if directory.stat().st_uid == os.geteuid():
        return StackError(
            f"{directory} can't be written to, though it is ours.",
            remedy=f'Open it (chmod 700 "{directory}"), or make its disk writable.',
        )
    return StackError(
        f"{directory} belongs to another user: was this stack brought up with sudo?",
        remedy=f'Go on as that user, or take it over: sudo chown -R "$(id -u):$(id -g)" "{directory}"',
    )
