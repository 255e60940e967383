"""kill -9 at every step of a run, by gates in the database: before or after it, and the next run goes on."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.runner import migrate

# Whoever comes here waits as long as the test keeps the lock.
WAIT_AT_THE_GATE = "SELECT pg_advisory_xact_lock(42)"
# Of this database: other tests have gates of their own on the same server.
IS_AT_THE_GATE = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
               WHERE datname = current_database() AND locktype = 'advisory' AND objid = 42 AND NOT granted)
"""
GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(42);
    RETURN NEW;
END $$;
CREATE {kind} TRIGGER gate {moment} INSERT ON migration {when} FOR EACH ROW EXECUTE FUNCTION gate()
"""
BEFORE_THE_RECORD = GATE.format(kind="", moment="BEFORE", when="")
AFTER_THE_RECORD = GATE.format(kind="", moment="AFTER", when="")
AT_THE_COMMIT = GATE.format(kind="CONSTRAINT", moment="AFTER", when="DEFERRABLE INITIALLY DEFERRED")
NO_GATE = "SELECT 1"
BALANCE = "UPDATE account SET balance = balance + 1"

type KillAtTheGate = Callable[[], Awaitable[None]]


@pytest.fixture
async def gatekeeper(empty_database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session of the test's own, for the gate."""
    session = await asyncpg.connect(**connect_options(empty_database_settings, "gatekeeper"))
    await session.execute("CREATE TABLE account (balance int); INSERT INTO account VALUES (100)")
    yield session
    await session.close()


@pytest.fixture
def kill_at_the_gate(folder: Path, start_folder: Start, gatekeeper: asyncpg.Connection) -> KillAtTheGate:
    """Return a function that starts the command, kills it when it stands at the gate, and opens that."""

    async def kill() -> None:
        await gatekeeper.execute("SELECT pg_advisory_lock(42)")
        runner = start_folder()
        while not await gatekeeper.fetchval(IS_AT_THE_GATE):
            assert runner.poll() is None, runner.communicate()
            await asyncio.sleep(0.02)
        runner.send_signal(signal.SIGKILL)
        runner.communicate()
        # The server sees that the client has gone, and ends its session: our opening the gate must not.
        while await gatekeeper.fetchval(IS_AT_THE_GATE):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)
        await gatekeeper.execute("SELECT pg_advisory_unlock(42)")

    return kill


@pytest.mark.parametrize(
    ("script", "gate"),
    [
        (f"{BALANCE}; {WAIT_AT_THE_GATE}", NO_GATE),
        (BALANCE, BEFORE_THE_RECORD),
        (BALANCE, AFTER_THE_RECORD),
        (BALANCE, AT_THE_COMMIT),
    ],
    ids=["in the script", "before the record", "after the record", "at the commit"],
)
async def test_killed_before_the_commit_is_before(
    script: str,
    gate: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    gatekeeper: asyncpg.Connection,
    kill_at_the_gate: KillAtTheGate,
) -> None:
    """Wherever it is killed before its commit, nothing of it is there; the next run does it once."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    await gatekeeper.execute(gate)
    write_migration("002_b", forwards=script, backwards="SELECT 1")

    await kill_at_the_gate()

    assert 100 == await gatekeeper.fetchval("SELECT balance FROM account")
    steps = await migrate(empty_database_settings, folder=folder)
    assert ["002_b"] == [step.migration_id for step in steps]
    assert 101 == await gatekeeper.fetchval("SELECT balance FROM account")


async def test_killed_after_the_commit_is_after(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    gatekeeper: asyncpg.Connection,
    kill_at_the_gate: KillAtTheGate,
) -> None:
    """Killed when one is committed and the next has begun, the next run does that one alone."""
    write_migration("001_a", forwards=BALANCE, backwards="SELECT 1")
    write_migration("002_b", forwards=f"{BALANCE}; {WAIT_AT_THE_GATE}", backwards="SELECT 1")

    await kill_at_the_gate()

    assert 101 == await gatekeeper.fetchval("SELECT balance FROM account")
    steps = await migrate(empty_database_settings, folder=folder)
    assert ["002_b"] == [step.migration_id for step in steps]
    assert 102 == await gatekeeper.fetchval("SELECT balance FROM account")


@pytest.mark.parametrize(
    ("statements", "gate"),
    [
        (("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON account (balance)", WAIT_AT_THE_GATE), NO_GATE),
        (("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON account (balance)",), BEFORE_THE_RECORD),
        (("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON account (balance)",), AT_THE_COMMIT),
    ],
    ids=["between statements", "before the record", "at the record's commit"],
)
async def test_killed_without_a_transaction_goes_on(
    statements: tuple[str, ...],
    gate: str,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    gatekeeper: asyncpg.Connection,
    kill_at_the_gate: KillAtTheGate,
) -> None:
    """What was done stays, is not recorded, and the next run goes on to the end."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    await gatekeeper.execute(gate)
    way_back = ("DROP INDEX CONCURRENTLY IF EXISTS i",)
    write_migration("002_b", forwards=statements, backwards=way_back, transaction=False)

    await kill_at_the_gate()

    recorded = await gatekeeper.fetchval("SELECT count(*) FROM migration")
    steps = await migrate(empty_database_settings, folder=folder)
    assert (1, ["002_b"]) == (recorded, [step.migration_id for step in steps])
    assert await gatekeeper.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")


async def test_killed_while_building_an_index_goes_on(
    folder: Path,
    write_migration: WriteMigration,
    start_folder: Start,
    empty_database_settings: DatabaseSettings,
    gatekeeper: asyncpg.Connection,
) -> None:
    """Killed in the middle of a concurrent build, an invalid index stays; the next run replaces it."""
    statements = ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON account (balance)",)
    write_migration("001_a", forwards=statements, backwards=("DROP INDEX i",), transaction=False)
    writer = await asyncpg.connect(**connect_options(empty_database_settings, "writer"))
    await writer.execute("BEGIN; UPDATE account SET balance = 101")  # the build waits for its end
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('i')"
    runner = start_folder()
    while await gatekeeper.fetchval(is_valid) is None:
        assert runner.poll() is None, runner.communicate()
        await asyncio.sleep(0.02)

    runner.send_signal(signal.SIGKILL)
    runner.communicate()

    builders = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database())"
    while await gatekeeper.fetchval(builders):  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.02)
    assert await gatekeeper.fetchval(is_valid) is False
    await writer.execute("COMMIT")
    await writer.close()
    assert 1 == len(await migrate(empty_database_settings, folder=folder))
    assert await gatekeeper.fetchval(is_valid)
