"""Servers that somebody else runs: never started, stopped or deleted by us, only waited for."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from sherpa.devstack.backends.backend import BackendName, Command, Say, ServiceState
from sherpa.devstack.backends.clients import psql, redis_cli
from sherpa.devstack.stack import SERVERS, Service, Stack


class ExternalBackend:
    """PostgreSQL and Redis at the addresses that the settings name."""

    name: Final = BackendName.EXTERNAL

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def start(self, services: Collection[Service], say: Say) -> None:
        """Nothing is started: only say what will be waited for."""
        for service in services:
            url = self._stack.url(service)
            say(f"{service}: waiting for {url.host}:{url.port}")

    def stop(self) -> Sequence[Service]:
        """Nothing is stopped."""
        return []

    def remove(self) -> None:
        """Nothing is deleted."""

    def states(self) -> Mapping[Service, ServiceState]:
        """Nothing is known without asking the servers."""
        return {
            service: ServiceState(service, "external", port=self._stack.url(service).port)
            for service in SERVERS
        }

    def log(self, service: Service, *, follow: bool) -> Path | Command | None:  # noqa: ARG002  # it has no log
        """Their logs are elsewhere."""
        return None

    def psql(self, command: str | None) -> Command:
        """The wheel's own psql."""
        return psql(self._stack, command)

    def redis_cli(self, command: str | None) -> Command:
        """The redis-cli of this machine, or our own."""
        return redis_cli(self._stack, command)
