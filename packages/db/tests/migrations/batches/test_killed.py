"""Data migrations as whole commands: killed, interrupted, resumed, taken back; no row is ever done twice."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.batches.conftest import Balances, FillAccounts, Walk, WriteBatches
from packages.db.tests.migrations.conftest import RUN_IN_FOLDER, Start
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.dry_run import dry_run
from sherpa.db.migrations.errors import ConnectionFailedError, HistoryError, MigrationFailedError
from sherpa.db.migrations.events import Step
from sherpa.db.migrations.migration import Irreversible
from sherpa.db.migrations.runner import migrate, revert

END_RUNNER = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'sherpa-migrate' AND pid <> pg_backend_pid()
"""
# Every batch sleeps, so that a kill always comes in the middle of one.
SLOW = "WITH slow AS MATERIALIZED (SELECT pg_sleep({seconds})) UPDATE accounts SET balance = balance {change}"
SLOW += " FROM slow WHERE id BETWEEN $1 AND $2"


def slow(change: str, seconds: float = 0.02) -> Batches:
    """Return batches of a row or two that take their time."""
    statement = SLOW.format(change=change, seconds=seconds)
    return Batches("accounts", "id", statement, rows=1, batch_seconds=0.001, duty=1)


async def test_killed_at_any_instant_each_row_is_done_once(
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    start_folder: Start,
    empty_connection: asyncpg.Connection,
    balances: Balances,
) -> None:
    """Killed with -9 again and again, forwards and backwards, it ends with each row done once each way."""
    await fill_accounts(40)
    write_batches("001_walk", slow("+ 1"), slow("- 1"))

    kills = []
    for command, balance in (("migrate", 1), ("revert", 0)):
        killed = 0
        while (code := await _run_a_while(start_folder, command, empty_connection)) != 0:
            assert -signal.SIGKILL == code
            killed += 1
        kills.append(killed)
        assert {balance: 40} == await balances()

    assert min(kills) >= 2
    assert await empty_connection.fetchval("SELECT to_regclass('migration_progress')") is None


async def _run_a_while(start_folder: Start, command: str, connection: asyncpg.Connection) -> int:
    """Kill the command once it has done 11 rows more, unless it ends before; return how it ended."""
    before = await _count_done(connection)
    runner = start_folder(command)
    while runner.poll() is None:
        if await _count_done(connection) > before + 10:
            runner.send_signal(signal.SIGKILL)
            break
        await asyncio.sleep(0.005)
    _, errors = await asyncio.to_thread(runner.communicate)
    assert "" == errors
    return runner.returncode


async def _count_done(connection: asyncpg.Connection) -> int:
    """Return how many rows the checkpoint counts; 0 where there is none, or no longer."""
    try:
        return int(await connection.fetchval("SELECT sum(done) FROM migration_progress") or 0)
    except asyncpg.UndefinedTableError:
        return 0


async def test_interrupted_run_goes_on(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    start_folder: Start,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    balances: Balances,
) -> None:
    """Ctrl-C ends it within the batch, without a traceback; the next run does the rest."""
    await fill_accounts(30)
    write_batches("001_walk", slow("+ 1"))
    runner = start_folder()
    while await _count_done(empty_connection) < 5:
        assert runner.poll() is None, runner.communicate()
        await asyncio.sleep(0.005)

    runner.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(runner.communicate)

    assert errors.startswith("Interrupted.")
    assert {0, 1} == set(await balances())
    await migrate(empty_database_settings, folder=folder)
    assert {1: 30} == await balances()


async def test_broken_connection_says_how_to_go_on(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    balances: Balances,
) -> None:
    """When the server ends the session in the middle, the error says that what is done stays; so it does."""
    await fill_accounts(30)
    write_batches("001_walk", slow("+ 1"))
    migrating = await _begin(empty_database_settings, folder, empty_connection)

    await empty_connection.execute(END_RUNNER)
    with pytest.raises(ConnectionFailedError, match="what it did stays, and its next run goes on from there"):
        await migrating

    await migrate(empty_database_settings, folder=folder)
    assert {1: 30} == await balances()


async def _begin(
    settings: DatabaseSettings, folder: Path, connection: asyncpg.Connection
) -> asyncio.Task[tuple[Step, ...]]:
    """Start migrating, and return when it has done five rows."""
    migrating = asyncio.create_task(migrate(settings, folder=folder))
    while await _count_done(connection) < 5:
        assert not migrating.done(), migrating.result()
        await asyncio.sleep(0.005)
    return migrating


async def test_reader_of_the_progress_stops_nothing(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A dump that holds the table of the progress only keeps it from being dropped, until the next time."""
    await fill_accounts(30)
    write_batches("001_walk", slow("+ 1"))
    migrating = await _begin(empty_database_settings, folder, empty_connection)

    async with empty_connection.transaction():
        await empty_connection.execute("LOCK TABLE migration_progress IN ACCESS SHARE MODE")
        steps = await migrating
    left = await empty_connection.fetchval("SELECT count(*) FROM migration_progress")
    await revert(empty_database_settings, folder=folder)

    assert ["001_walk"] == [step.migration_id for step in steps]
    assert 0 == left
    assert await empty_connection.fetchval("SELECT to_regclass('migration_progress')") is None


async def test_killed_before_the_record_nothing_is_done_again(
    folder: Path,
    fill_accounts: FillAccounts,
    walk: Walk,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    balances: Balances,
) -> None:
    """All rows done but the migration not recorded: the next run records it, and touches no row."""
    await fill_accounts(30)
    batches = Batches(
        "accounts", "id", "UPDATE accounts SET balance = balance + 1 WHERE id BETWEEN $1 AND $2"
    )
    write_batches("001_walk", batches)
    await walk(batches)

    steps = await migrate(empty_database_settings, folder=folder)

    assert ["001_walk"] == [step.migration_id for step in steps]
    assert {1: 30} == await balances()


async def test_there_and_back_leaves_nothing(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    balances: Balances,
) -> None:
    """Applied and reverted, catalogue and rows are as they were: the progress has gone with its table."""
    await fill_accounts(30)
    write_batches("001_walk")
    before = await snapshot(empty_connection)

    await migrate(empty_database_settings, folder=folder)
    applied = await balances()
    await revert(empty_database_settings, folder=folder)

    assert {1: 30} == applied
    assert {0: 30} == await balances()
    assert () == diff(before, await snapshot(empty_connection))


async def test_half_done_is_finished_before_turning_back(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Half forwards nothing is reverted, and half backwards `migrate` says so, with nothing pending."""
    await fill_accounts(30)
    write_batches("001_walk")
    write_batches("002_walk")
    await migrate(empty_database_settings, to="001", folder=folder)
    await empty_connection.execute("UPDATE accounts SET balance = 9 WHERE id = 30")

    with pytest.raises(MigrationFailedError):
        await migrate(empty_database_settings, folder=folder)
    done = await _count_done(empty_connection)  # depends on the pace, as the batches' sizes do
    with pytest.raises(
        HistoryError, match=rf"002_walk is half done forwards \({done} of about 30 rows\): .*inv migrate"
    ):
        await revert(empty_database_settings, folder=folder)

    assert 0 < done < 30
    await empty_connection.execute("UPDATE accounts SET balance = 1 WHERE id = 30")
    await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("ALTER TABLE accounts ADD CHECK (balance > 0 OR id < 30)")
    await empty_connection.execute("UPDATE accounts SET balance = 1 WHERE id = 30")
    with pytest.raises(MigrationFailedError):
        await revert(empty_database_settings, folder=folder)
    with pytest.raises(HistoryError, match=r"002_walk is half done backwards .*inv revert"):
        await migrate(empty_database_settings, folder=folder)


async def test_dry_run_shows_the_statement(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    empty_database_settings: DatabaseSettings,
    balances: Balances,
) -> None:
    """In advance the statement is shown as it stands, with what its parameters mean; nothing is run."""
    await fill_accounts(1)
    write_batches("001_walk")
    shown: list[str] = []

    await dry_run(empty_database_settings, shown.append, folder=folder)

    assert [
        (
            "-- 001_walk (forwards), without a transaction: shown only\n"
            "-- for accounts, from one id ($1) to another ($2), about 10 rows at a time:\n"
            "UPDATE accounts SET balance = balance + 1 WHERE id BETWEEN $1 AND $2;"
        )
    ] == shown
    assert {0: 1} == await balances()


async def test_terminal_shows_a_bar(
    folder: Path,
    fill_accounts: FillAccounts,
    write_batches: WriteBatches,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """At a terminal the bar is drawn in one line, and gives way to the line that says what was applied."""
    await fill_accounts(30)
    write_batches("001_walk", slow("+ 1"), Irreversible("Nobody knows which were done."))

    written = await asyncio.to_thread(_run_at_terminal, environment, tmp_path, str(folder), "migrate")

    bars, _, rest = written.partition("\n")
    assert bars.startswith("\r001_walk  ")
    assert bars.count("\r001_walk  ") >= 2
    assert " rows/s  " in bars
    assert "\r001_walk  " not in rest
    assert "001_walk" == bars.rpartition(" \r")[2].split()[0]


def _run_at_terminal(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    """Return what the command, which ends well, writes to a terminal of 80 columns."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen:
        with os.fdopen(terminal, "wb") as output:
            command = [sys.executable, "-c", RUN_IN_FOLDER, *arguments]
            runner = subprocess.Popen(command, env=environment, cwd=folder, stdout=output)
        parts = []
        with suppress(OSError):  # how Linux says that the terminal was closed
            while part := screen.read(4096):
                parts.append(part)
    assert 0 == runner.wait()
    return b"".join(parts).decode()
