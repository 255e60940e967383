"""A worker of the harness in a place of its own, and what an independent eye sees in one of its databases."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db import catalogue
from sherpa.db.migrations.runner import migrate
from sherpa.devstack.harness import leftovers
from sherpa.devstack.harness import place as places
from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.session import Session, all_sessions
from sherpa.devstack.harness.worker import Worker

type Facts = dict[str, Any]
type Observe = Callable[[Lease], Awaitable[Facts]]

# What a test could leave behind that `sherpa.db.catalogue` doesn't tell.
MORE = {
    "tables' owners and grants": "SELECT relname, relowner::regrole::text, relacl::text FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "columns' grants": "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute"
    " WHERE attacl IS NOT NULL ORDER BY 1, 2",
    "schemas' owners and grants": "SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace"
    " WHERE nspname !~ '^pg_(toast_)?temp_' ORDER BY 1",
    "grants to come": "SELECT defaclobjtype::text, defaclacl::text FROM pg_default_acl ORDER BY 1",
    "rare objects": "SELECT classid::regclass::text, count(*) FROM pg_depend"
    " WHERE objid >= 16384 GROUP BY 1 ORDER BY 1",
    "comments": "SELECT classoid::regclass::text, description FROM pg_description"
    " WHERE objoid >= 16384 OR classoid = 'pg_namespace'::regclass ORDER BY 1, 2",
    "large objects": "SELECT count(*) FROM pg_largeobject_metadata",
    "the database": "SELECT datdba::regrole::text, datacl::text, datconnlimit, datallowconn,"
    " shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()",
    "settings": "SELECT name, setting FROM pg_settings"
    " WHERE source IN ('database', 'user', 'database user', 'global') ORDER BY 1",
    "other sessions": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND application_name <> 'test harness'",
    "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())",
    "built-in functions": "SELECT sum(procost), sum(hashtext(coalesce(proacl::text, ''))) FROM pg_proc"
    " WHERE oid < 16384",
}
RELATIONS = (
    "SELECT quote_ident(relname) FROM pg_class WHERE relkind = $1 AND relnamespace = 'public'::regnamespace"
)
# A record of a migration says when it ran and how long, which is another time for each database.
NOT_COMPARED = ["ran_on", "duration_seconds"]


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """An empty folder for sessions, in memory where there is some."""
    directory = Path(tempfile.mkdtemp(prefix="harness test ", dir=places.choose().parent))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


# As in the project; plugins that only take time to load are left out.
PYTEST_INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
timeout_method = thread
addopts = -p no:hypothesispytest -p no:valkey -p no:anyio -p no:cacheprovider
"""


@dataclass(frozen=True)
class Suite:
    """A folder with tests of its own, run by a pytest of its own whose servers are in `servers`."""

    folder: Path
    servers: Path

    def write(self, **files: str) -> None:
        """Write test files, by their names without the ending."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(text))

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start pytest, its output on a pipe."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", f"--test-servers={self.servers}", *arguments],
            cwd=self.folder,
            env={**clean, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run pytest to its end; return its exit code and what it said."""
        with self.start(*arguments, **environment) as process:
            output, _ = process.communicate(timeout=100)
        return process.returncode, output

    def sessions(self) -> list[Session]:
        """Return the sessions that have a folder now."""
        return all_sessions(self.servers)

    def processes(self) -> list[psutil.Process]:
        """Return the servers that run from this suite's folder for servers."""
        mark = str(self.servers)
        running = psutil.process_iter(["cmdline"])
        return [each for each in running if any(word.startswith(mark) for word in each.info["cmdline"] or ())]


@contextlib.contextmanager
def _suite(folder: Path) -> Iterator[Suite]:
    (folder / "pytest.ini").write_text(PYTEST_INI)
    servers = Path(tempfile.mkdtemp(prefix="harness suite ", dir=places.choose().parent))
    yield Suite(folder, servers)
    leftovers.clean_all(servers)
    shutil.rmtree(servers)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """Return an empty suite; whatever servers it leaves are stopped after the test."""
    with _suite(tmp_path) as suite:
        yield suite


@pytest.fixture(scope="module")
def shared_suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a suite that is run once for several tests."""
    with _suite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture(scope="session")
def disk() -> Iterator[Path]:
    """An empty folder for sessions among the temporary files, which are on a disk on most machines."""
    directory = Path(tempfile.mkdtemp(prefix="harness test "))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def worker(place: Path) -> Iterator[Worker]:
    """A worker whose databases a test may spoil: not the one that lends this session's."""
    session = Session.new(place)
    worker = Worker(session, "main")
    yield worker
    worker.close()
    leftovers.remove(session)


@pytest.fixture(scope="session")
def observe(worker: Worker) -> Observe:
    """Return a function that looks at a database: its schema, rows, rights, settings and sessions."""

    async def look(lease: Lease) -> Facts:
        return await _observe(worker.cluster.settings(lease.database))

    return look


@pytest.fixture(scope="session")
def truth(worker: Worker) -> Iterator[Facts]:
    """What is seen in a database that the migrations have just made: no template, no clone."""
    lease = worker.lend_empty()
    settings = worker.cluster.settings(lease.database)
    asyncio.run(migrate(settings))
    yield asyncio.run(_observe(settings))
    worker.take_back_empty(lease)


async def _observe(settings: DatabaseSettings) -> Facts:
    connection = await asyncpg.connect(settings.url.reveal(), ssl=False)
    try:
        tables = [name for (name,) in await connection.fetch(RELATIONS, b"r")]
        sequences = [name for (name,) in await connection.fetch(RELATIONS, b"S")]
        return {
            "schema": await catalogue.snapshot(connection),
            "rows": {name: await _rows(connection, name) for name in tables},
            "sequences": {
                name: list(*await connection.fetch(f"SELECT last_value, is_called FROM {name}"))
                for name in sequences
            },
            **{what: list(map(tuple, await connection.fetch(query))) for what, query in MORE.items()},
        }
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        f"SELECT (to_jsonb(t) - $1::text[])::text FROM {table} t ORDER BY 1", NOT_COMPARED
    )
    return [text for (text,) in rows]
