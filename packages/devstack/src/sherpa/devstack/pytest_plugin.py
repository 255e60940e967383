"""The pytest plugin: a real, migrated, isolated database and an isolated Redis for each test that asks for one.

Loading it costs little and starts nothing: servers are for the first test that asks (docs/testing.md).
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sherpa.devstack.harness import environment, place, report
from sherpa.devstack.harness.session import Session

if TYPE_CHECKING:
    import asyncpg

    from sherpa.config import DatabaseSettings, RedisSettings
    from sherpa.db.engine import Database
    from sherpa.devstack.harness.databases import Lease
    from sherpa.devstack.harness.worker import PostgresCluster, Worker

TAKEN = pytest.StashKey[dict[str, str]]()
SESSION = pytest.StashKey[Session]()
WORKER = pytest.StashKey["Worker"]()
LEASES = pytest.StashKey["list[Lease]"]()


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
        type=Path,
        metavar="FOLDER",
        help="run the session's servers in this folder (default: /dev/shm where it has room, else temporary files)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Wipe our variables from the environment, and name the session for all its workers."""
    config.stash[TAKEN] = environment.take_away()
    inherited = getattr(config, "workerinput", {}).get("sherpa_session")
    if inherited:
        config.stash[SESSION] = Session(Path(inherited).parent, Path(inherited).name)
    else:
        folder = config.getoption("--test-servers")
        config.stash[SESSION] = Session.new(folder.absolute() if folder else place.choose())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a pytest-xdist worker which session it belongs to."""
    node.workerinput["sherpa_session"] = str(node.config.stash[SESSION].directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session that began here: stop its servers, if there are any."""
    environment.give_back(config.stash.get(TAKEN, {}))
    session = config.stash.get(SESSION, None)
    if session and not hasattr(config, "workerinput") and session.directory.exists():
        from sherpa.devstack.harness import leftovers  # noqa: PLC0415 - 0.1 s, for runs that had servers only

        leftovers.end(session)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep a failed test's database before its fixtures are torn down, and say so in the report."""
    result: pytest.TestReport = yield  # type: ignore[misc, assignment] # pytest types wrappers as plain iterators
    if result.failed and call.when != "teardown":
        for lease in item.stash.get(LEASES, []):
            worker = item.config.stash[WORKER]
            command = worker.keep(lease, item.nodeid, limit=item.config.getoption("--keep-databases"))
            if command:
                result.sections.append((report.KEPT, command))
    return result  # type: ignore[return-value] # the same


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the kept databases at the end of the run."""
    report.summarise(terminalreporter)


@pytest.fixture(scope="session")
def _worker(request: pytest.FixtureRequest) -> Iterator["Worker"]:
    from sherpa.devstack.harness.worker import Worker  # noqa: PLC0415 - 0.3 s, for runs that need servers only

    name = getattr(request.config, "workerinput", {}).get("workerid", "main")
    worker = Worker(request.config.stash[SESSION], name)
    request.config.stash[WORKER] = worker
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def postgres_cluster(_worker: "Worker") -> "PostgresCluster":
    """Return the session's PostgreSQL, for a test that needs more than a database of its own."""
    return _worker.postgres_cluster


@pytest.fixture
def _lease(_worker: "Worker", request: pytest.FixtureRequest) -> Iterator["Lease"]:
    lease = _worker.lend()
    request.node.stash.setdefault(LEASES, []).append(lease)
    yield lease
    returned = _worker.take_back(lease)
    if returned.leaked:
        request.node.add_report_section("teardown", report.LEFT_OPEN, "\n".join(map(str, returned.leaked)))
    if returned.differences:
        request.node.add_report_section("teardown", report.REPLACED, "\n".join(returned.differences))


@pytest.fixture
def database_settings(_lease: "Lease", _worker: "Worker") -> "DatabaseSettings":
    """Return settings for a real, migrated database with nothing in it but what migrations put there."""
    _lease.is_open = True
    return _worker.cluster.settings(_lease.database)


@pytest.fixture
async def database(database_settings: "DatabaseSettings") -> AsyncIterator["Database"]:
    """Return an open `sherpa.db` Database."""
    from sherpa.db.engine import Database  # noqa: PLC0415 - Piccolo takes 0.4 s to import

    async with Database(database_settings, application_name="test") as database:
        yield database


@pytest.fixture
async def connection(
    database_settings: "DatabaseSettings", _worker: "Worker"
) -> AsyncIterator["asyncpg.Connection"]:
    """Return a new asyncpg connection, closed after the test."""
    async with _worker.connected(database_settings) as connection:
        yield connection


@pytest.fixture
async def rollback_connection(_lease: "Lease", _worker: "Worker") -> AsyncIterator["asyncpg.Connection"]:
    """Return a connection in a transaction that is rolled back after the test: for tests that need no commit."""
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
    """Return the URL of an empty Redis database, with its password."""
    return redis_settings.url.reveal()
