"""The pytest plugin: a real, migrated, isolated database and an isolated Redis for each test that asks.

Loading it costs next to nothing and starts nothing: the first test that asks does (docs/testing.md).
"""

from collections.abc import AsyncIterator, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from sherpa.devstack.harness import environment, place, report
from sherpa.devstack.harness.session import OwnFolder, Session

if TYPE_CHECKING:
    import asyncpg

    from sherpa.config import DatabaseSettings, RedisSettings
    from sherpa.db.engine import Database
    from sherpa.devstack.harness.connections import KeptConnection
    from sherpa.devstack.harness.databases import Lease
    from sherpa.devstack.harness.worker import PostgresCluster, Worker

TAKEN = pytest.StashKey[dict[str, str]]()
SESSION = pytest.StashKey[Session]()
WORKER = pytest.StashKey["Worker"]()
LEASES = pytest.StashKey["list[Lease]"]()
NOTES = pytest.StashKey[list[tuple[str, str]]]()

MAIN = "main"  # the worker's name where there is no pytest-xdist


class WorkerNode(Protocol):
    """What pytest-xdist hands over for each worker that it starts."""

    config: pytest.Config
    workerinput: dict[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's two options."""
    group = parser.getgroup("databases", "databases for tests")
    group.addoption(
        "--keep-databases",
        type=int,
        default=3,
        metavar="N",
        help="keep the databases of the first N failed tests (default: 3)",
    )
    group.addoption(
        "--test-servers",
        metavar="FOLDER",
        help="where the session's servers keep their files (default: in memory where there is room)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Wipe what the environment hands down, and name the session for all its workers."""
    config.stash[TAKEN] = environment.take_away()
    environment.hear_interrupts()
    inherited = getattr(config, "workerinput", {}).get("sherpa_session")
    folder = config.getoption("--test-servers")
    if inherited:
        config.stash[SESSION] = Session(Path(inherited).parent, Path(inherited).name)
    else:
        config.stash[SESSION] = Session.new(Path(folder).absolute() if folder else place.choose())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerNode) -> None:
    """Tell a pytest-xdist worker which session it belongs to."""
    node.workerinput["sherpa_session"] = str(node.config.stash[SESSION].directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session where it began: stop its servers, if it had any."""
    environment.give_back(config.stash.get(TAKEN, {}))
    session = config.stash.get(SESSION, None)
    if session and not hasattr(config, "workerinput") and session.directory.exists():
        from sherpa.devstack.harness import leftovers  # noqa: PLC0415 - 60 ms that most runs needn't pay

        leftovers.end(session)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a failed test's databases before its fixtures are torn down, and add what there is to say."""
    result = yield
    if call.when == "teardown":
        notes = item.stash.get(NOTES, [])
        result.sections.extend(notes)
    elif result.failed:
        for lease in item.stash.get(LEASES, []):
            limit = item.config.getoption("--keep-databases")
            command = item.config.stash[WORKER].keep(lease, item.nodeid, limit=limit)
            if command:
                result.sections.append((report.KEPT, command))
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the kept databases at the end of the run."""
    report.summarise(terminalreporter, folder=terminalreporter.config.getoption("--test-servers") or "")


@pytest.fixture(scope="session")
def _worker(request: pytest.FixtureRequest) -> Iterator["Worker"]:
    from sherpa.devstack.harness.worker import Worker  # noqa: PLC0415 - 0.3 s that most runs needn't pay

    name = getattr(request.config, "workerinput", {}).get("workerid", MAIN)
    worker = request.config.stash[WORKER] = Worker(request.config.stash[SESSION], name)
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def postgres_cluster(_worker: "Worker") -> "PostgresCluster":
    """Return the session's PostgreSQL, for a test that needs more than a database of its own."""
    from sherpa.devstack.harness.worker import PostgresCluster  # noqa: PLC0415 - as above

    return PostgresCluster(_worker)


@pytest.fixture(scope="session")
def own_folder(_worker: "Worker") -> OwnFolder:
    """Return what makes a folder for a test's own servers: after a killed run, the next one stops them."""
    return _worker.session.own_folder


@pytest.fixture
def _lease(_worker: "Worker", request: pytest.FixtureRequest) -> Iterator["Lease"]:
    lease = _worker.lend()
    request.node.stash.setdefault(LEASES, []).append(lease)
    yield lease
    returned = _worker.take_back(lease)
    notes = ((report.LEFT_OPEN, returned.leaked), (report.REPLACED, returned.differences))
    request.node.stash[NOTES] = [(title, "\n".join(map(str, lines))) for title, lines in notes if lines]


@pytest.fixture
def database_settings(_lease: "Lease", _worker: "Worker") -> "DatabaseSettings":
    """Return settings for a real, migrated database that holds nothing but what migrations put there."""
    return _worker.settings(_lease.database)


@pytest.fixture
async def database(database_settings: "DatabaseSettings") -> AsyncIterator["Database"]:
    """Return an open `sherpa.db` Database."""
    from sherpa.db.engine import Database  # noqa: PLC0415 - Piccolo: 0.4 s that most runs needn't pay

    async with Database(database_settings, application_name="test") as database:
        yield database


@pytest.fixture
async def connection(_lease: "Lease", _worker: "Worker") -> AsyncIterator["asyncpg.Connection"]:
    """Return a new asyncpg connection, closed after the test."""
    async with _worker.connected(_lease) as connection:
        yield connection


@pytest.fixture
async def rollback_connection(_lease: "Lease", _worker: "Worker") -> AsyncIterator["asyncpg.Connection"]:
    """Return a connection in a transaction that is rolled back after the test: where no commit is needed."""
    async with _worker.rolled_back(_lease) as connection:
        yield connection


@pytest.fixture
def empty_database_settings(
    _worker: "Worker", request: pytest.FixtureRequest
) -> Iterator["DatabaseSettings"]:
    """Return settings for a database that no migration has touched; it is dropped after the test."""
    lease = _worker.lend_empty()
    request.node.stash.setdefault(LEASES, []).append(lease)
    yield _worker.cluster.settings(lease.database)
    _worker.take_back_empty(lease)


@pytest.fixture
def redis_settings(_worker: "Worker") -> Iterator["RedisSettings"]:
    """Return settings for an empty Redis database of this worker's own."""
    yield _worker.keyspace.settings()
    _worker.keyspace.empty()


@pytest.fixture
def redis_url(redis_settings: "RedisSettings") -> str:
    """Return the URL of an empty Redis database of this worker's own, with its password."""
    return redis_settings.url.reveal()


if find_spec("pytest_asyncio"):
    import pytest_asyncio

    @pytest_asyncio.fixture(scope="session", loop_scope="session")
    async def _kept_connection(_worker: "Worker") -> AsyncIterator["KeptConnection"]:
        yield _worker.kept_connection
        _worker.kept_connection.close()

    @pytest_asyncio.fixture(loop_scope="session")
    async def kept_connection(
        _lease: "Lease", _worker: "Worker", _kept_connection: "KeptConnection"
    ) -> AsyncIterator["asyncpg.Connection"]:
        """Return a connection that goes on from test to test, reset in between; it saves 3 ms a test.

        For tests that run in the session's loop: `@pytest.mark.asyncio(loop_scope="session")`.
        """
        yield await _kept_connection.lend(_worker.settings(_lease.database), _lease)
        await _kept_connection.settle()
