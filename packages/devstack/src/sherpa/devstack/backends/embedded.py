"""PostgreSQL and Valkey from wheels, on this machine, without Docker."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from sherpa.devstack.backends.backend import BackendName, Command, Say, ServiceState
from sherpa.devstack.backends.clients import psql, redis_cli
from sherpa.devstack.embedded.account import current_account, remove_tree
from sherpa.devstack.embedded.binaries import postgres_binaries, valkey_binary
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import SERVERS, Service, Stack

type Server = PostgresServer | ValkeyServer


class EmbeddedBackend:
    """Servers that run as plain processes; see `sherpa.devstack.embedded` for how each is handled."""

    name: Final = BackendName.EMBEDDED

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def start(self, services: Collection[Service], say: Say) -> None:
        """Start the servers side by side. One that runs on another port than the settings say is moved."""
        if notice := _prepare(services):
            say(notice)
        with ThreadPoolExecutor() as pool:
            starts = [pool.submit(_start, self._server(service)) for service in services]
        problems = [problem for start in starts if (problem := start.exception())]
        if problems:
            raise problems[0]

    def stop(self) -> Sequence[Service]:
        """Stop both servers side by side."""
        with ThreadPoolExecutor() as pool:
            stopped = list(pool.map(lambda service: self._server(service).stop(), SERVERS))
        return [service for service, was_running in zip(SERVERS, stopped, strict=True) if was_running]

    def remove(self) -> None:
        """Stop both servers and delete their directories."""
        self.stop()
        for service in SERVERS:
            remove_tree(self._directory(service))
        place = self._directory(Service.POSTGRES).parent
        if current_account().switch and place.exists():
            # Root's data lies outside the checkout, in a place that has no other use.
            place.rmdir()

    def states(self) -> Mapping[Service, ServiceState]:
        """What the processes show."""
        return {service: self._state(service) for service in SERVERS}

    def log(self, service: Service, *, follow: bool) -> Path | Command | None:  # noqa: ARG002  # a file needs no flag
        """The server's log file, if it was ever started."""
        log = self._server(service).log
        return log if log.exists() else None

    def psql(self, command: str | None) -> Command:
        """The wheel's own psql."""
        return psql(self._stack, command)

    def redis_cli(self, command: str | None) -> Command:
        """The redis-cli of this machine, or our own."""
        return redis_cli(self._stack, command)

    def _state(self, service: Service) -> ServiceState:
        state = self._server(service).state()
        return ServiceState(service, state.condition.value, pid=state.pid, port=state.port)

    def _directory(self, service: Service) -> Path:
        return current_account().data_place(self._stack.root, self._stack.identity) / service.value

    def _server(self, service: Service) -> Server:
        url, directory = self._stack.url(service), self._directory(service)
        password = url.password.reveal() if url.password else ""
        if service is Service.REDIS:
            return ValkeyServer(directory, url.port, password or None, self._stack.identity)
        return PostgresServer(
            directory, url.port, password, self._stack.identity, superuser=url.username or "sherpa"
        )


def _start(server: Server) -> None:
    if isinstance(server, PostgresServer) and not server.password:
        raise StackError(
            "DATABASE_URL names no password, and PostgreSQL is started with password authentication only.",
            remedy="Put one into .env: DATABASE_URL=postgresql://user:PASSWORD@127.0.0.1:5432/choice_sherpa",
        )
    state = server.state()
    if state.alive and state.port != server.port:
        server.stop()
    server.start()


def _prepare(services: Collection[Service]) -> str:
    """Unpack the programs that weren't yet; return what a person should know about them, or "".

    One after the other: a program can't be run ("text file busy") that was being written when another thread
    started one.
    """
    if Service.REDIS in services:
        valkey_binary()
    return postgres_binaries().notice if Service.POSTGRES in services else ""
