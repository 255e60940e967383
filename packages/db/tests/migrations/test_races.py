"""Many runners at once, on a database that is in use, with a concurrent index among the migrations."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.checkpoints import Checkpoints, clear_checkpoints
from sherpa.db.migrations.events import Event, Waiting, ignore
from sherpa.db.migrations.lock import acquire_lock
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.session import open_session

RUNNERS = 8
IS_SOMEBODY_WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""


@pytest.fixture
def bank(write_migration: WriteMigration) -> list[str]:
    """Write migrations that change data, with a concurrent index in between; return their IDs."""
    way_back = "SELECT 1"
    write_migration("001_accounts", forwards="CREATE TABLE IF NOT EXISTS account (balance int)")
    write_migration("002_first", forwards="INSERT INTO account VALUES (100)", backwards=way_back)
    write_migration(
        "003_index",
        forwards=("CREATE INDEX CONCURRENTLY IF NOT EXISTS account_balance ON account (balance)",),
        backwards=("DROP INDEX CONCURRENTLY IF EXISTS account_balance",),
        transaction=False,
    )
    raised = "UPDATE account SET balance = balance + 1 WHERE balance > 0"
    write_migration("004_interest", forwards=raised, backwards=way_back)
    write_migration("005_column", forwards="ALTER TABLE account ADD COLUMN owner text", backwards=way_back)
    return ["001_accounts", "002_first", "003_index", "004_interest", "005_column"]


@asynccontextmanager
async def _traffic(settings: DatabaseSettings) -> AsyncIterator[list[int]]:
    """Keep writing to the table and reading it, in transactions of some length; yield how many."""
    done = [0]
    session = await asyncpg.connect(**connect_options(settings, "till"))

    async def work() -> None:
        while True:
            async with session.transaction():
                await session.execute("INSERT INTO account VALUES (-1); SELECT count(*) FROM account")
                await asyncio.sleep(0.01)
            done[0] += 1

    task = asyncio.create_task(work())
    try:
        yield done
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await session.close()


@pytest.mark.parametrize("is_live", [False, True], ids=["empty", "live"])
async def test_eight_runners_apply_each_migration_once(
    is_live: bool,
    folder: Path,
    bank: list[str],
    start_folder: Start,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """All end well, none in a deadlock; each migration is applied by one of them, data changed once."""
    if is_live:
        await empty_connection.execute("CREATE TABLE account (balance int)")
        async with _traffic(empty_database_settings) as done:
            outputs = await _race(start_folder)
        assert done[0] > 0
    else:
        outputs = await _race(start_folder)

    assert [(0, "")] * RUNNERS == [(code, errors) for code, _, errors in outputs]
    told = "".join(out for _, out, _ in outputs)
    assert told.count("Waiting: another runner") == len(re.findall(r"Waited \d+\.\d s for it", told))
    assert bank == sorted(re.findall(r"^(\w+) +applied +\d", told, re.MULTILINE))
    rows = await empty_connection.fetch("SELECT balance FROM account WHERE balance > 0")
    assert [101] == [row["balance"] for row in rows]
    assert await empty_connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = 'account_balance'::regclass"
    )


async def test_progress_that_another_runner_ends_is_no_fault(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A runner that asks for data migrations half done, just when another ends the last, goes on."""
    write_migration("001_a")
    await Checkpoints("000_done", "forwards").begin(empty_connection, "UPDATE", 1, "1")

    async with empty_connection.transaction():
        await empty_connection.execute("DROP TABLE migration_progress")
        run = asyncio.create_task(migrate(empty_database_settings, folder=folder))
        while not await empty_connection.fetchval(IS_SOMEBODY_WAITING):
            assert not run.done(), run.exception()
            await asyncio.sleep(0.01)

    assert ["001_a"] == [step.migration_id for step in await run]


async def test_migrating_waits_for_a_data_migration_on_its_way_back(
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """What another runner is just taking back, batch by batch, is no contradiction but a reason to wait."""
    write_migration("001_a")
    back = Checkpoints("000_walk", "backwards")
    await back.begin(empty_connection, "UPDATE", 2, "2")
    await back.move(empty_connection, "1", 1)
    told: list[Event] = []

    async with open_session(empty_database_settings) as other:
        await acquire_lock(other, 0, ignore)
        run = asyncio.create_task(migrate(empty_database_settings, folder=folder, report=told.append))
        while not told:
            assert not run.done(), run.exception()
            await asyncio.sleep(0.01)
        await clear_checkpoints(other, "000_walk")

    assert ["001_a"] == [step.migration_id for step in await run]
    assert isinstance(told[0], Waiting)


async def _race(start_folder: Start) -> list[tuple[int, str, str]]:
    runners = [start_folder() for _ in range(RUNNERS)]
    outputs = await asyncio.gather(*(asyncio.to_thread(runner.communicate) for runner in runners))
    return [(runner.returncode, *output) for runner, output in zip(runners, outputs, strict=True)]
