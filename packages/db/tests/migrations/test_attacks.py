"""Real processes against one database: racing, waiting, interrupted (`test_kills` has kill -9)."""

import asyncio
import re
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.events import ignore
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.lock import acquire_lock
from sherpa.db.migrations.session import open_session

SLOW = "CREATE TABLE begun (); SELECT pg_sleep(600)"
IS_ASLEEP = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')
"""


async def test_racing_runners_apply_each_migration_once(
    start: Start, empty_connection: asyncpg.Connection
) -> None:
    """Four runners at once on an empty database all end well, and between them apply each migration once."""
    runners = [start("migrate") for _ in range(4)]

    outputs = await asyncio.gather(*(asyncio.to_thread(runner.communicate) for runner in runners))

    assert [(0, "")] * 4 == [
        (runner.returncode, errors) for runner, (_, errors) in zip(runners, outputs, strict=True)
    ]
    told = "".join(out for out, _ in outputs)
    known = [file.id for file in list_files()]
    assert known == sorted(re.findall(r"^(\w+) +applied +", told, re.MULTILINE))
    assert known == [
        row[0] for row in await empty_connection.fetch("SELECT name FROM migration ORDER BY name")
    ]


async def test_waiting_runner_says_for_whom(start: Start, empty_database_settings: DatabaseSettings) -> None:
    """A runner that finds another at work names it, waits, says how long, and ends well."""
    async with open_session(empty_database_settings) as holder:
        await acquire_lock(holder, 0, ignore)
        pid = await holder.fetchval("SELECT pg_backend_pid()")
        runner = start("migrate")
        first = await asyncio.to_thread(_read_line, runner)

    rest, errors = await asyncio.to_thread(runner.communicate)
    assert re.fullmatch(rf"Waiting: .*\(pid {pid}, host 127.0.0.1, application sherpa-migrate\)\.\n", first)
    assert re.search(r"^Waited \d+\.\d s for it\.$", rest, re.MULTILINE)
    assert (0, "") == (runner.returncode, errors)


@pytest.mark.parametrize("command", ["migrate", "migrate --dry-run", "migrate --baseline 001", "revert"])
async def test_holder_of_another_role_is_named(
    command: str, start: Start, superuser: asyncpg.Connection
) -> None:
    """Every command gives up in time; what the server hides of another role's session is called unknown."""
    await acquire_lock(superuser, 0, ignore)
    runner = start(*command.split(), "--lock-wait", "0")
    _, errors = await asyncio.to_thread(runner.communicate, timeout=60)

    assert 1 == runner.returncode
    holder = f"pid {superuser.get_server_pid()}, host unknown, application sherpa-migrate"
    assert f"Another runner ({holder}) has been migrating" in errors


async def test_waiting_has_an_end(start: Start, empty_database_settings: DatabaseSettings) -> None:
    """With `--lock-wait` the runner gives up in time, names the holder, and changes nothing."""
    async with open_session(empty_database_settings) as holder:
        await acquire_lock(holder, 0, ignore)
        pid = await holder.fetchval("SELECT pg_backend_pid()")
        runner = start("migrate", "--lock-wait", "0.3")
        _, errors = await asyncio.to_thread(runner.communicate)

        assert 1 == runner.returncode
        assert f"Another runner (pid {pid}, " in errors
        assert await holder.fetchval("SELECT to_regclass('migration')") is None


async def test_interrupted_runner_rolls_back(
    folder: Path, write_migration: WriteMigration, start_folder: Start, empty_connection: asyncpg.Connection
) -> None:
    """Ctrl-C in the middle ends the migration under way, keeps those before it, and is no traceback."""
    write_migration("001_a")
    write_migration("002_b", forwards=SLOW)
    runner = start_folder()
    await _wait_until_asleep(runner, empty_connection)

    runner.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(runner.communicate)

    assert 1 == runner.returncode
    assert errors.startswith("Interrupted.")
    assert ["001_a"] == [row[0] for row in await empty_connection.fetch("SELECT name FROM migration")]


async def _wait_until_asleep(runner: subprocess.Popen[str], connection: asyncpg.Connection) -> None:
    while not await connection.fetchval(IS_ASLEEP):
        assert runner.poll() is None, runner.communicate()
        await asyncio.sleep(0.02)


def _read_line(runner: subprocess.Popen[str]) -> str:
    assert runner.stdout
    return runner.stdout.readline()
