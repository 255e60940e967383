"""`migrate --baseline`: adopts a database that others made, when it is what our migrations would make."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import RunAside, Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.errors import DriftError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.history import read_history
from sherpa.db.migrations.review.baseline import adopt
from sherpa.db.migrations.runner import migrate

SEED = ("001_foundation", "002_membership")
KNOWN = [file.id for file in list_files()]


@pytest.fixture
async def foreign(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> asyncpg.Connection:
    """Return a session on a database with the seed's schema and the history of sqlx, but none of ours."""
    await migrate(empty_database_settings, to=SEED[-1])
    await empty_connection.execute("""
        DROP TABLE migration;
        CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL);
        INSERT INTO _sqlx_migrations VALUES (1, 'foundation'), (2, 'membership')
    """)
    return empty_connection


async def test_matching_database_is_adopted(foreign: asyncpg.Connection, run_aside: RunAside) -> None:
    """What matches is recorded and nothing else changes; a history of sqlx is named and left alone."""
    before = await snapshot(foreign)

    code, out, err = await run_aside("migrate", "--baseline", "002")

    after = (await snapshot(foreign)).without({"public.migration"})
    assert (0, "") == (code, err)
    assert [[each, "adopted"] for each in SEED] == [line.split() for line in out.splitlines()[:2]]
    assert "Not of our making, and left alone: _sqlx_migrations." in out
    assert () == diff(before, after)
    assert [(file.id, file.read_source()) for file in list_files()[:2]] == [
        tuple(row) for row in await foreign.fetch("SELECT name, source FROM migration ORDER BY name")
    ]
    assert all(each.applied_by for each in await read_history(foreign))


async def test_adopted_database_goes_on(foreign: asyncpg.Connection, run_aside: RunAside) -> None:
    """After the baseline the pending ones are applied, and all of it can be taken back."""
    await run_aside("migrate", "--baseline", "002")

    codes = [
        (await run_aside(*each))[0] for each in (["migrate"], ["migrations"], ["revert", "--all", "--yes"])
    ]

    assert [0, 0, 0] == codes
    assert ["_sqlx_migrations"] == [
        row[0] for row in await foreign.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ("ALTER TABLE memberships ADD COLUMN nickname text", "memberships.nickname: not declared, found"),
        ("ALTER TABLE memberships DROP COLUMN updated_at", "updated_at"),
        ("ALTER TABLE outbox ALTER COLUMN event_type TYPE text", "outbox.event_type: declared"),
        ("DROP INDEX idx_outbox_unprocessed", "idx_outbox_unprocessed"),
        ("CREATE INDEX extra ON outbox (event_type)", "extra"),
        ("DROP TABLE processed_events", "processed_events"),
        ("ALTER TABLE memberships DROP CONSTRAINT memberships_tier_check", "memberships_tier_check"),
    ],
)
async def test_difference_is_refused(
    change: str, fact: str, foreign: asyncpg.Connection, run_aside: RunAside
) -> None:
    """A database that is not what the migrations make is told where, and nothing is recorded."""
    await foreign.execute(change)

    code, out, err = await run_aside("migrate", "--baseline", "002")

    assert (6, "") == (code, out)
    assert fact in err
    assert "_sqlx_migrations" not in err
    assert await foreign.fetchval("SELECT to_regclass('migration')") is None


async def test_later_id_is_refused(foreign: asyncpg.Connection, run_aside: RunAside) -> None:
    """A database at 002 can't be adopted as one that has all of ours."""
    code, _, err = await run_aside("migrate", "--baseline", KNOWN[-1])

    assert 6 == code
    assert "take the ID that it is at" in err


async def test_empty_database_is_refused(run_aside: RunAside, empty_connection: asyncpg.Connection) -> None:
    """Where there is nothing, there is nothing to adopt."""
    code, _, err = await run_aside("migrate", "--baseline", "001")

    assert 6 == code
    assert "outbox: declared" in err
    assert await empty_connection.fetchval("SELECT to_regclass('migration')") is None


async def test_history_is_not_replaced(run_aside: RunAside) -> None:
    """A database that has a history is migrated, not adopted."""
    await run_aside("migrate", "--to", "001")

    code, _, err = await run_aside("migrate", "--baseline", "001")

    assert 4 == code
    assert "has a history already, up to 001_foundation" in err


@pytest.mark.parametrize("flags", [["--baseline", "999"], ["--baseline", "00"]], ids=" ".join)
async def test_unknown_id_is_wrong_use(flags: list[str], run_aside: RunAside) -> None:
    """An ID that means none or several is refused."""
    assert 2 == (await run_aside("migrate", *flags))[0]


@pytest.mark.parametrize("flag", ["--dry-run", "--to=002", "--allow-out-of-order"])
async def test_flags_that_contradict_it_are_wrong_use(
    flag: str, foreign: asyncpg.Connection, run_aside: RunAside
) -> None:
    """What would apply, or only show, is not to be had together with what records."""
    assert 2 == (await run_aside("migrate", "--baseline", "002", flag))[0]
    assert await foreign.fetchval("SELECT to_regclass('migration')") is None


async def test_concurrent_index_is_compared(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A migration that needs to run without a transaction is part of the proof, in one."""
    statement = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t001_a (a)"
    write_migration("001_a", forwards="CREATE TABLE t001_a (a text DEFAULT 'CONCURRENTLY')")
    write_migration(
        "002_b", forwards=(statement,), backwards=("DROP INDEX CONCURRENTLY IF EXISTS i",), transaction=False
    )
    await empty_connection.execute("CREATE TABLE t001_a (a text DEFAULT 'CONCURRENTLY')")

    with pytest.raises(DriftError, match="index i: declared"):
        await adopt(empty_database_settings, "002", folder=folder)
    await empty_connection.execute(statement)
    adopted = await adopt(empty_database_settings, "002", folder=folder)

    assert ("001_a", "002_b") == adopted.adopted


async def test_several_at_once_record_once(foreign: asyncpg.Connection, start: Start) -> None:
    """Of baselines that start together one adopts; the others find a history, and change nothing."""
    processes = [start("migrate", "--baseline", "002") for _ in range(3)]

    await asyncio.gather(*(asyncio.to_thread(each.communicate) for each in processes))

    assert [0, 4, 4] == sorted(each.returncode for each in processes)
    assert list(SEED) == [each.id for each in await read_history(foreign)]


async def test_runners_beside_it_do_no_harm(
    foreign: asyncpg.Connection, start: Start, run_aside: RunAside
) -> None:
    """A `migrate` that comes first finds the tables there and fails whole; one that comes later goes on."""
    processes = [start("migrate"), start("migrate", "--baseline", "002"), start("migrate")]

    await asyncio.gather(*(asyncio.to_thread(each.communicate) for each in processes))
    code, _, _ = await run_aside("migrate")

    assert (0, 0) == (processes[1].returncode, code)
    assert KNOWN == [each.id for each in await read_history(foreign)]


async def test_role_that_may_not_prove_it_is_told(
    foreign: asyncpg.Connection,
    guest_settings: DatabaseSettings,
    run_aside: RunAside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proof needs a schema of its own: the right to make one is named."""
    monkeypatch.setenv("DATABASE_URL", guest_settings.url.reveal())

    code, _, err = await run_aside("migrate", "--baseline", "002")

    assert 1 == code
    assert "GRANT CREATE ON DATABASE" in err
    assert await foreign.fetchval("SELECT to_regclass('migration')") is None
