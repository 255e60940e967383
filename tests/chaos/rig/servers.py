"""PostgreSQL and Valkey of a story's own, on ports that stay theirs: stopped, killed, paused, and back."""

import asyncio
import contextlib
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil

from sherpa.config import DatabaseSettings, Secret, ServiceUrl, SslMode
from sherpa.db.migrations.runner import migrate
from sherpa.devstack import ports, processes
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import Session

PASSWORD = "chaos"
DATABASE = "chaos"
# A commit that was acknowledged outlives a kill -9: it was written, if not flushed to the disk.
POSTGRES_OPTIONS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "max_connections": "100",
    "autovacuum_naptime": "1s",
}
VALKEY_OPTIONS: Mapping[str, str] = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
}


@dataclass(frozen=True)
class Victim:
    """A server, and what may happen to it. Each method returns when it has happened."""

    server: PostgresServer | ValkeyServer

    @property
    def port(self) -> int:
        """Where it listens, whenever it runs."""
        return self.server.port

    async def start(self) -> None:
        """Start it; it accepts connections afterwards."""
        await asyncio.to_thread(self.server.start)

    async def stop(self) -> None:
        """Stop it as an operator does: PostgreSQL's fast shutdown, Valkey's SIGTERM."""
        await asyncio.to_thread(self.server.stop)

    async def end(self, number: signal.Signals) -> None:
        """Send the main process a signal that ends it (SIGKILL; SIGQUIT is PostgreSQL's immediate mode)."""
        main = self._main()
        await asyncio.to_thread(processes.stop, main, (number, 20.0))

    def pause(self) -> None:
        """Stop the clock of all its processes: connections stay open, nobody answers."""
        main = self._main()
        main.suspend()  # first, for then it makes no more of them
        for child in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()

    def resume(self) -> None:
        """Let all its processes go on."""
        main = self._main()
        for child in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.resume()
        main.resume()

    def _main(self) -> psutil.Process:
        pid = self.server.state().pid
        assert pid is not None, f"{self.server.directory.name} is not running"
        return psutil.Process(pid)


@dataclass(frozen=True)
class Servers:
    """Both servers of a story, in a folder that the next test run removes if this one is killed."""

    session: Session
    postgres: Victim
    valkey: Victim
    prepared: Path = field(repr=False)

    @classmethod
    def new(cls, session: Session, prepared: Path) -> "Servers":
        """Return servers that don't run yet; PostgreSQL's data will be a copy of the prepared."""
        folder, name = session.directory, session.name
        postgres_port = ports.any_free()
        valkey_port = ports.any_free(avoid={postgres_port})
        postgres = PostgresServer(
            folder / "postgres", postgres_port, PASSWORD, name, POSTGRES_OPTIONS, durable=False
        )
        valkey = ValkeyServer(folder / "valkey", valkey_port, PASSWORD, name, VALKEY_OPTIONS, durable=False)
        return cls(session, Victim(postgres), Victim(valkey), prepared)

    async def start(self, *, file_bytes: int | None = None) -> None:
        """Start both, on a fresh database with the real schema, whose files may grow up to `file_bytes`."""
        target = self.session.directory / "postgres"
        await asyncio.to_thread(_copy, self.prepared, target)
        with small_files(file_bytes) if file_bytes else contextlib.nullcontext():
            await self.postgres.start()
        await self.valkey.start()

    def database_url(self, port: int | None = None) -> ServiceUrl:
        """Return the database's address, straight or through a proxy's port."""
        return database_url(port or self.postgres.port, DATABASE)

    def database_settings(self) -> DatabaseSettings:
        """Return settings for the database, straight."""
        return DatabaseSettings(
            url=self.database_url(), ssl_mode=SslMode.DISABLE, min_connections=1, max_connections=4
        )

    def redis_url(self, port: int | None = None) -> str:
        """Return Valkey's address, straight or through a proxy's port."""
        return f"redis://:{PASSWORD}@{ports.LOOPBACK}:{port or self.valkey.port}/0"


def database_url(port: int, database: str) -> ServiceUrl:
    """Return the superuser's address of a database."""
    return ServiceUrl(
        scheme="postgresql",
        host=ports.LOOPBACK,
        port=port,
        username=SUPERUSER,
        password=Secret(PASSWORD),
        database=database,
        ssl_mode=SslMode.DISABLE,
    )


async def prepare(session: Session, tables: str) -> Path:
    """Make a data directory with the real migrations and the story's own tables, once for many stories."""
    folder = session.directory / "postgres"
    server = PostgresServer(folder, ports.any_free(), PASSWORD, session.name, POSTGRES_OPTIONS, durable=False)
    await asyncio.to_thread(server.start)
    settings = DatabaseSettings(url=database_url(server.port, DATABASE), ssl_mode=SslMode.DISABLE)
    await _execute(database_url(server.port, "postgres"), f"CREATE DATABASE {DATABASE}")
    await migrate(settings)
    await _execute(settings.url, tables)
    await asyncio.to_thread(server.stop)
    return folder


async def _execute(url: ServiceUrl, statement: str) -> None:
    connection = await asyncpg.connect(url.reveal())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextlib.contextmanager
def small_files(most_bytes: int) -> Iterator[None]:
    """Let what is started in the block write no file longer than that: to it, the disk is full there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _copy(prepared: Path, target: Path) -> None:
    # cp keeps the owner, whom root's server needs; shutil doesn't.
    subprocess.run(["cp", "-a", prepared, target], check=True)
    shutil.rmtree(target / "data" / "pg_stat_tmp", ignore_errors=True)
