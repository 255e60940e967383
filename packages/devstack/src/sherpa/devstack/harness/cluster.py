"""The session's servers, a PostgreSQL and a Valkey: started by the first worker that asks, shared by all."""

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import asyncpg

from sherpa.config import DatabaseSettings, Secret, ServiceUrl, SslMode
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import SUPERUSER, PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.harness import leftovers
from sherpa.devstack.harness import place as places
from sherpa.devstack.harness.session import Session

ROLE = "tester"
REDIS_DATABASES = 1024
ATTEMPTS = 5
SCRAM_ITERATIONS_SINCE = 16

POSTGRES_OPTIONS = {
    # Nothing is worth keeping after a crash, and nothing runs at a time of its own choosing.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "64MB",
    "wal_recycle": "off",
    "wal_init_zero": "off",
    # Small, because copying or dropping a database looks through all of it.
    "shared_buffers": "32MB",
    # Shared memory in files of the data directory: it goes with that, even after a kill -9.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "300",
    "timezone": "UTC",
}
REDIS_OPTIONS = {"databases": str(REDIS_DATABASES)}

# The harness's own sessions: every name comes with its schema, foreign keys and triggers keep quiet while
# tables are emptied, and a lock that nobody gives up becomes an error instead of a wait.
HARNESS_SESSION = {
    "application_name": "test harness",
    "search_path": "",
    "session_replication_role": "replica",
    "lock_timeout": "5s",
    "jit": "off",
}


class ServerGoneError(ConnectionError):
    """The session's PostgreSQL doesn't answer any more: a test has ended it."""


@dataclass(frozen=True)
class Cluster:
    """How to reach the session's servers. `in_memory` says whether their files live in memory."""

    postgres_port: int
    redis_port: int
    superuser_password: str = field(repr=False)
    role_password: str = field(repr=False)
    redis_password: str = field(repr=False)
    in_memory: bool

    def settings(self, database: str) -> DatabaseSettings:
        """Return settings for a database as the role of tests: it owns its databases and is no superuser."""
        return self._settings(database, ROLE, self.role_password)

    def superuser_settings(self, database: str) -> DatabaseSettings:
        """Return settings for a database as the cluster's superuser."""
        return self._settings(database, SUPERUSER, self.superuser_password)

    def _settings(self, database: str, user: str, password: str) -> DatabaseSettings:
        return DatabaseSettings(
            url=ServiceUrl(
                scheme="postgresql",
                host=ports.LOOPBACK,
                port=self.postgres_port,
                username=user,
                password=Secret(password),
                database=database,
            ),
            # The pool opens as many connections as a test uses, and asks a server without TLS for none.
            min_connections=1,
            max_connections=5,
            ssl_mode=SslMode.DISABLE,
        )

    async def connect(self, database: str) -> asyncpg.Connection:
        """Open a connection as superuser, for the harness itself. Raises ServerGoneError."""
        try:
            return await asyncpg.connect(
                self.superuser_settings(database).url.reveal(),
                ssl=False,
                timeout=10,
                server_settings=HARNESS_SESSION,
                # The proof is long, and planning it takes longer than running it.
                max_cacheable_statement_size=0,
                max_cached_statement_lifetime=0,
            )
        except ConnectionError as error:
            raise ServerGoneError(
                f"The session's PostgreSQL on port {self.postgres_port} doesn't answer: a test has ended it, "
                "or it crashed. A test that stops a server starts one of its own (docs/testing.md)."
            ) from error


def obtain(session: Session) -> Cluster:
    """Return the session's servers, started if no other worker did before. Call it inside `session.lock`."""
    record = session.directory / "cluster.json"
    if record.exists():
        return Cluster(**json.loads(record.read_text()))
    leftovers.stop_servers(session)  # of a worker that was killed while it started them
    cluster = _start(session)
    asyncio.run(_prepare(cluster))
    write_private(session.directory / "pgpass", _pgpass(cluster))
    write_private(record, json.dumps(asdict(cluster)))
    return cluster


def write_private(file: Path, text: str) -> None:
    """Write a file that only we can read: the whole of it, or none."""
    draft = file.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.rename(file)


def _start(session: Session) -> Cluster:
    superuser, role, redis = (secrets.token_urlsafe(24) for _ in range(3))
    return Cluster(
        postgres_port=_start_postgres(session, superuser),
        redis_port=_start_valkey(session, redis),
        superuser_password=superuser,
        role_password=role,
        redis_password=redis,
        in_memory=places.is_memory(session.directory),
    )


def _start_postgres(session: Session, password: str) -> int:
    directory = session.directory / "postgres"

    def start(port: int) -> None:
        PostgresServer(directory, port, password, session.name, POSTGRES_OPTIONS, durable=False).start()

    return _start_on_free_port(start)


def _start_valkey(session: Session, password: str) -> int:
    directory = session.directory / "valkey"

    def start(port: int) -> None:
        ValkeyServer(directory, port, password, session.name, REDIS_OPTIONS, durable=False).start()

    return _start_on_free_port(start)


def _start_on_free_port(start: Callable[[int], None]) -> int:
    """Start a server on a port that is free now, and on another when someone else was quicker."""
    for _ in range(ATTEMPTS - 1):
        port = ports.any_free()
        try:
            start(port)
        except ServerFailedError:
            if ports.is_free(port):
                raise  # the port wasn't the reason
        else:
            return port
    start(port := ports.any_free())
    return port


async def _prepare(cluster: Cluster) -> None:
    """Make the role of tests, and shut the databases that belong to nobody's test."""
    connection = await cluster.connect("postgres")
    try:
        # One round instead of 4096 saves 1 ms a connection; only guessable passwords need the rounds.
        if connection.get_server_version().major >= SCRAM_ITERATIONS_SINCE:
            await connection.execute("SET scram_iterations = 1")
        await connection.execute(f"ALTER ROLE {SUPERUSER} PASSWORD '{cluster.superuser_password}'")
        await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{cluster.role_password}'")
        await connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
    finally:
        await connection.close()


def _pgpass(cluster: Cluster) -> str:
    place = f"{ports.LOOPBACK}:{cluster.postgres_port}:*"
    return f"{place}:{SUPERUSER}:{cluster.superuser_password}\n{place}:{ROLE}:{cluster.role_password}\n"
