"""Fixtures of the db tests: PostgreSQL servers that a test may stop, kill and set up as it likes."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret, ServiceUrl, SslMode
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer


@dataclass
class OwnServer:
    """A PostgreSQL of the test's own, not started at first."""

    place: Path
    options: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=ports.any_free)
    password: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def server(self) -> PostgresServer:
        """The server with the options as they are now."""
        return PostgresServer(
            self.place, self.port, self.password, self.place.name, self.options, durable=False
        )

    def settings(self) -> DatabaseSettings:
        """Return how to reach it: a small pool."""
        return DatabaseSettings(
            url=ServiceUrl(
                scheme="postgresql",
                host="127.0.0.1",
                port=self.port,
                username=SUPERUSER,
                password=Secret(self.password),
                database="postgres",
            ),
            min_connections=1,
            max_connections=4,
            ssl_mode=SslMode.PREFER,
        )


@pytest.fixture(scope="session")
def _place() -> Iterator[Path]:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="sherpa-db-tests-", dir=memory if memory.is_dir() else None))
    place.chmod(0o711)  # root's servers run as another user, who must be able to pass
    yield place
    shutil.rmtree(place)


@pytest.fixture
def own_server(_place: Path) -> Iterator[OwnServer]:
    """Return a server for this test alone; it is stopped after the test."""
    server = OwnServer(_place / secrets.token_hex(4))
    yield server
    server.server.stop()
    shutil.rmtree(server.place, ignore_errors=True)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a function that finds a port on which nobody listens."""
    return ports.any_free


class Ids:
    """The table `items`, and the ids in it that are committed, in order."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def committed(self) -> list[int]:
        """Read them."""
        return [row["id"] for row in await self.connection.fetch("SELECT id FROM items ORDER BY id")]


@pytest.fixture
async def ids(connection: asyncpg.Connection) -> Ids:
    """Make a table to write in, `items`, and return how to read what is committed there."""
    await connection.execute("CREATE TABLE items (id int CONSTRAINT items_pkey PRIMARY KEY)")
    return Ids(connection)
