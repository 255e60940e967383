"""A migration gives way to the application: it waits a moment for a lock, tries again, says who has it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.console import describe
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.errors import MigrationFailedError
from sherpa.db.migrations.events import Blocked, Event, Retrying, Step
from sherpa.db.migrations.execution.insistence import Retries
from sherpa.db.migrations.runner import migrate, revert

EAGER = Retries(attempts=4, first_pause_seconds=0.01, longest_pause_seconds=0.01)
PATIENT = Retries(attempts=1000, first_pause_seconds=0.01, longest_pause_seconds=0.01)
OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1"


@pytest.fixture
async def application(empty_database_settings: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    """Return a session of an application that has read the table `busy` and not yet ended its transaction."""
    session = await asyncpg.connect(**connect_options(empty_database_settings, "till"))
    await session.execute("CREATE TABLE busy (id int)")
    await session.execute("BEGIN; SELECT FROM busy")
    yield session
    await session.close()


@pytest.fixture
def blocked_migration(write_migration: WriteMigration) -> None:
    """Write a migration that needs the table `busy` for itself."""
    write_migration("001_a", forwards="ALTER TABLE busy ADD COLUMN x int", lock_timeout_seconds=0.2)


@pytest.mark.usefixtures("blocked_migration")
async def test_retry_succeeds_when_the_lock_is_free(
    folder: Path, empty_database_settings: DatabaseSettings, application: asyncpg.Connection
) -> None:
    """A migration that can't have its lock in time is undone and tried again, until it can."""
    told: list[Event] = []
    retried = asyncio.Event()

    def report(event: Event) -> None:
        told.append(event)
        if isinstance(event, Retrying):
            retried.set()

    run = asyncio.create_task(migrate(empty_database_settings, folder=folder, retries=PATIENT, report=report))
    await _first_of(run, retried)
    await application.execute("COMMIT")
    steps = await run

    assert ["001_a"] == [step.migration_id for step in steps]
    assert isinstance(told[-1], Step)
    retries = [event for event in told if isinstance(event, Retrying)]
    assert [("001_a", 1, 1000)] == [(each.migration_id, each.attempt, each.attempts) for each in retries[:1]]


@pytest.mark.usefixtures("blocked_migration")
async def test_final_error_names_the_holder(
    folder: Path, empty_database_settings: DatabaseSettings, application: asyncpg.Connection
) -> None:
    """When all attempts were in vain, the error says which lock on what, and who has it, in full."""
    pid = application.get_server_pid()

    with pytest.raises(MigrationFailedError) as failure:
        await migrate(empty_database_settings, folder=folder, retries=EAGER)

    user = empty_database_settings.url.username
    holder = (
        rf"pid {pid}, host 127\.0\.0\.1, application till, user {user}, idle in transaction since [\d:]+ UTC"
    )
    message = str(failure.value)
    assert re.search(rf"waited for AccessExclusiveLock on busy, held by {holder}\n", message), message
    assert "tried 4 times" in message
    assert "55P03" in message
    assert "nothing of it remains" in message


@pytest.mark.usefixtures("blocked_migration")
async def test_blocker_is_told_while_waiting(
    folder: Path, empty_database_settings: DatabaseSettings, application: asyncpg.Connection
) -> None:
    """Who is in the way is told while it is so, once for each attempt; nobody is asked again who has left."""
    told: list[Event] = []
    seen = asyncio.Event()

    def report(event: Event) -> None:
        told.append(event)
        if isinstance(event, Blocked):
            seen.set()

    run = asyncio.create_task(migrate(empty_database_settings, folder=folder, retries=PATIENT, report=report))
    await _first_of(run, seen)
    await application.execute("COMMIT")
    await run

    blocked = [event for event in told if isinstance(event, Blocked)]
    assert {application.get_server_pid()} == {each.pid for event in blocked for each in event.blockers}
    assert "AccessExclusiveLock on busy" == blocked[0].lock
    assert describe(blocked[0]).startswith(
        "Blocked: 001_a waits for AccessExclusiveLock on busy, held by pid "
    )
    assert len(blocked) <= 1 + len([event for event in told if isinstance(event, Retrying)])


@pytest.mark.usefixtures("blocked_migration")
async def test_two_connections_at_most(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    application: asyncpg.Connection,
) -> None:
    """A run has one session; one more when it has to wait; both are gone after it."""
    write_migration("000_0", forwards="CREATE TABLE quick ()", backwards="DROP TABLE quick")
    ours = "sherpa-migrate%"
    own = await empty_connection.fetchval(OURS, ours)  # this test's own session has the name as well
    seen = set[int]()
    looks: list[asyncio.Task[int]] = []

    def look(event: Event) -> None:
        if isinstance(event, Blocked | Retrying):
            looks.append(asyncio.create_task(count()))

    async def count() -> int:
        async with turn:
            return int(await empty_connection.fetchval(OURS, ours)) - int(own)

    turn = asyncio.Lock()
    with pytest.raises(MigrationFailedError):
        await migrate(empty_database_settings, folder=folder, retries=EAGER, report=look)

    seen = set(await asyncio.gather(*looks))
    while await empty_connection.fetchval(OURS, ours) > own:  # noqa: ASYNC110 (sessions end in their time)
        await asyncio.sleep(0.01)
    assert seen <= {0, 1, 2}
    assert 2 in seen


async def test_quick_migrations_need_no_second_session(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """Where nothing is waited for, one session does it all."""
    count = OURS.replace("$1", "'sherpa-migrate%'")
    for number in range(1, 6):
        write_migration(f"00{number}_x", forwards=f"CREATE TABLE seen{number} AS {count} AND pid <> 0")

    await migrate(empty_database_settings, folder=folder)

    connection = await asyncpg.connect(**connect_options(empty_database_settings, "test"))
    seen = [await connection.fetchval(f"SELECT count FROM seen{number}") for number in range(1, 6)]
    await connection.close()
    assert [1] * 5 == seen


async def test_row_locks_are_waited_for_and_named(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    application: asyncpg.Connection,
) -> None:
    """A row that somebody is changing blocks a data migration just so, and is named by its transaction."""
    await application.execute("INSERT INTO busy VALUES (1); COMMIT")
    await application.execute("BEGIN; UPDATE busy SET id = 2")
    write_migration("001_a", forwards="UPDATE busy SET id = 3", lock_timeout_seconds=0.2)

    with pytest.raises(
        MigrationFailedError, match=r"the end of a transaction that changed .* application till"
    ):
        await migrate(empty_database_settings, folder=folder, retries=EAGER)


# It holds `other`, and asks for `busy` only when the application, which has that, waits for `other`.
DEADLOCK = """
LOCK TABLE other;
DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'other'::regclass AND NOT granted)
          AND EXISTS (SELECT FROM pg_locks WHERE relation = 'busy'::regclass) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
LOCK TABLE busy
"""


async def test_deadlock_with_the_application_is_tried_again(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    superuser: asyncpg.Connection,
    application: asyncpg.Connection,
) -> None:
    """A deadlock ends by rolling one of the two back; when that is the migration, it runs again."""
    await empty_connection.execute("CREATE TABLE other ()")
    database = empty_database_settings.url.database
    await superuser.execute(f"ALTER DATABASE {database} SET deadlock_timeout = '10ms'")  # for new sessions
    write_migration("001_a", forwards=DEADLOCK, lock_timeout_seconds=0)
    told: list[Event] = []
    run = asyncio.create_task(
        migrate(empty_database_settings, folder=folder, retries=PATIENT, report=told.append)
    )
    held = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'other'::regclass AND granted)"
    while not await empty_connection.fetchval(held):
        assert not run.done(), run.exception()
        await asyncio.sleep(0.01)

    await application.execute("LOCK TABLE other; COMMIT")

    assert ["001_a"] == [step.migration_id for step in await run]
    assert [1] == [event.attempt for event in told if isinstance(event, Retrying)]


async def test_limits_are_each_migrations_own(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Both limits are as the file says, there and back; the next migration has the runner's own again."""
    note = "INSERT INTO seen VALUES (current_setting('lock_timeout'), current_setting('statement_timeout'))"
    await empty_connection.execute("CREATE TABLE seen (locks text, statements text)")
    own = {"lock_timeout_seconds": 0.0001, "statement_timeout_seconds": 90}
    write_migration("001_a", forwards=note, backwards=note, **own)
    write_migration("002_b", forwards=note, backwards=note, lock_timeout_seconds=0)
    write_migration("003_c", forwards=(note,), backwards=(note,), transaction=False, lock_timeout_seconds=7)
    write_migration("004_d", forwards=note, backwards=note)

    await migrate(empty_database_settings, folder=folder)
    await revert(empty_database_settings, everything=True, folder=folder)

    there = [("1ms", "90s"), ("0", "0"), ("7s", "0"), ("5s", "0")]
    rows = await empty_connection.fetch("SELECT locks, statements FROM seen")
    assert there + there[::-1] == [tuple(row) for row in rows]


async def test_long_statement_is_ended(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A statement that runs longer than its file allows fails the migration, and is not tried again."""
    write_migration(
        "001_a", forwards="CREATE TABLE a (); SELECT pg_sleep(600)", statement_timeout_seconds=0.05
    )

    with pytest.raises(MigrationFailedError, match=r"57014(.|\n)*statement_timeout_seconds"):
        await migrate(empty_database_settings, folder=folder)

    assert await empty_connection.fetchval("SELECT to_regclass('a')") is None


async def test_blind_watcher_stops_nothing(
    folder: Path,
    empty_database_settings: DatabaseSettings,
    guest_settings: DatabaseSettings,
    superuser: asyncpg.Connection,
    write_migration: WriteMigration,
) -> None:
    """Where no second session is to be had, the migration is tried all the same, and fails without a name."""
    role = guest_settings.url.username
    await superuser.execute(
        f"ALTER ROLE {role} CONNECTION LIMIT 1; CREATE TABLE busy (); GRANT ALL ON busy TO {role}"
    )
    write_migration("001_a", forwards="LOCK TABLE busy", lock_timeout_seconds=0.2)

    async with superuser.transaction():
        await superuser.execute("LOCK TABLE busy")
        with pytest.raises(MigrationFailedError, match="tried 4 times") as failure:
            await migrate(guest_settings, folder=folder, retries=EAGER)

    assert "held by" not in str(failure.value)


async def _first_of(run: asyncio.Task[tuple[Step, ...]], event: asyncio.Event) -> None:
    """Wait for the event, but not beyond the run's end."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert event.is_set(), run.exception()
