"""A server that is not there yet, goes away in the middle, or answers no more."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from sherpa.config import DatabaseSettings, Secret
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.errors import ConnectionFailedError
from sherpa.db.migrations.events import Event, ServerAway
from sherpa.db.migrations.runner import migrate

type WriteMigration = Callable[..., Path]
type Start = Callable[..., subprocess.Popen[str]]

SLEEPER = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
"""


async def test_server_that_starts_late_is_waited_for(
    own_server: Any, folder: Path, write_migration: WriteMigration
) -> None:
    """With `wait_seconds` a server that is not up yet is waited for, and that is told once."""
    write_migration("001_a")
    away = asyncio.Event()
    told: list[Event] = []

    def report(event: Event) -> None:
        told.append(event)
        away.set()

    run = asyncio.create_task(migrate(own_server.settings(), wait_seconds=120, folder=folder, report=report))
    await away.wait()
    await asyncio.to_thread(own_server.server.start)

    assert ["001_a"] == [step.migration_id for step in await run]
    assert 1 == len([event for event in told if isinstance(event, ServerAway)])


async def test_waiting_for_the_server_has_an_end(
    empty_database_settings: DatabaseSettings, free_port: Callable[[], int]
) -> None:
    """After `wait_seconds` the error says how long it waited, and for what."""
    port = free_port()
    settings = replace(empty_database_settings, url=empty_database_settings.url.replace(port=port))

    with pytest.raises(ConnectionFailedError, match=rf":{port}.*We waited 0\.2 s"):
        await migrate(settings, wait_seconds=0.2)


async def test_refused_login_is_not_waited_for(empty_database_settings: DatabaseSettings) -> None:
    """A wrong password stays wrong: it is told at once, however long one would wait."""
    url = empty_database_settings.url.replace(password=Secret("wrong"))

    with pytest.raises(ConnectionFailedError, match="password authentication failed"):
        await migrate(replace(empty_database_settings, url=url), wait_seconds=86400)


async def test_restart_in_the_middle(own_server: Any, folder: Path, write_migration: WriteMigration) -> None:
    """A server that restarts in the middle of a migration ends the run in words; the next run goes on."""
    await asyncio.to_thread(own_server.server.start)
    settings = own_server.settings()
    write_migration("001_a")
    write_migration("002_b", forwards="CREATE TABLE begun (); SELECT pg_sleep(600)")
    run = asyncio.create_task(migrate(settings, folder=folder))
    await _wait_for_sleeper(settings, run)

    await asyncio.to_thread(own_server.server.stop)
    with pytest.raises(
        ConnectionFailedError, match=r"002_b ran forwards .*\. It is done whole or not at all"
    ):
        await run
    await asyncio.to_thread(own_server.server.start)

    write_migration("002_b")
    steps = await migrate(settings, folder=folder)
    assert ["002_b"] == [step.migration_id for step in steps]


async def test_interrupt_ends_soon_on_a_frozen_server(
    folder: Path,
    write_migration: WriteMigration,
    start_folder: Start,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """One Ctrl-C is enough, even when the server's process answers nothing any more."""
    write_migration("001_a", forwards="SELECT pg_sleep(600)")
    runner = start_folder()
    while (pid := await empty_connection.fetchval(SLEEPER)) is None:
        assert runner.poll() is None, runner.communicate()
        await asyncio.sleep(0.02)
    backend = psutil.Process(pid)
    backend.suspend()

    try:
        runner.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(runner.communicate, timeout=60)
    finally:
        backend.resume()
        runner.kill()

    assert 1 == runner.returncode
    assert errors.startswith("Interrupted.")


async def _wait_for_sleeper(settings: DatabaseSettings, run: asyncio.Task[Any]) -> None:
    connection = await asyncpg.connect(**connect_options(settings, "test"))
    while await connection.fetchval(SLEEPER) is None:
        assert not run.done(), run.exception()
        await asyncio.sleep(0.02)
    await connection.close()
