"""Why a run can't begin, and what to do: the server away, too old, or not for us."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import psutil
import pytest

from sherpa.config import DatabaseSettings, Secret
from sherpa.db.migrations import session
from sherpa.db.migrations.errors import (
    ConnectionFailedError,
    MigrationError,
    MigrationFailedError,
)
from sherpa.db.migrations.events import ignore
from sherpa.db.migrations.lock import acquire_lock
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.status import read_status

OURS = "datname = current_database() AND application_name = 'sherpa-migrate'"


def _with(settings: DatabaseSettings, **parts: Any) -> DatabaseSettings:
    return replace(settings, url=settings.url.replace(**parts))


async def test_absent_server_is_named(
    empty_database_settings: DatabaseSettings, free_port: Callable[[], int]
) -> None:
    """With nobody listening the error names host and port, and the command that starts a server."""
    port = free_port()

    with pytest.raises(ConnectionFailedError, match=rf"127\.0\.0\.1:{port}.*inv up"):
        await migrate(_with(empty_database_settings, port=port))


async def test_refused_password_is_named(empty_database_settings: DatabaseSettings) -> None:
    """A wrong password is called that."""
    with pytest.raises(ConnectionFailedError, match="password authentication failed"):
        await migrate(_with(empty_database_settings, password=Secret("wrong")))


async def test_missing_database_is_named(empty_database_settings: DatabaseSettings) -> None:
    """A database that does not exist is named."""
    with pytest.raises(ConnectionFailedError, match=r"no_such_thing.*[Cc]reate"):
        await migrate(_with(empty_database_settings, database="no_such_thing"))


async def test_old_server_is_refused(
    empty_database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server older than the oldest that we support is refused before anything is written."""
    monkeypatch.setattr(session, "OLDEST_SERVER", 99)

    with pytest.raises(ConnectionFailedError, match="need 99 or newer"):
        await migrate(empty_database_settings)


async def test_connection_that_breaks_while_waiting_is_told(
    empty_database_settings: DatabaseSettings, superuser: asyncpg.Connection
) -> None:
    """A session that ends while its runner waits for its turn is an error that says what to do."""
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {OURS}"
    await acquire_lock(superuser, 0, ignore)
    waiting = asyncio.Event()
    runner = asyncio.create_task(migrate(empty_database_settings, report=lambda _: waiting.set()))
    await waiting.wait()

    await superuser.execute(end)

    with pytest.raises(ConnectionFailedError, match="No migration was under way: run the command again"):
        await runner


async def test_locked_history_is_told(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that somebody keeps locked is not waited for beyond the limit, and is an error of ours."""
    monkeypatch.setattr(session, "LOCK_SECONDS", 0.05)
    async with open_session(database_settings) as holder, holder.transaction():
        await holder.execute("LOCK TABLE migration")

        with pytest.raises(MigrationError, match="lock timeout"):
            await migrate(database_settings)


async def test_machine_that_dies_is_noticed(empty_connection: asyncpg.Connection) -> None:
    """The server asks whether our machine is alive: the lock is free in half a minute, not in two hours."""
    names = ["tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout"]

    limits = [int(await empty_connection.fetchval("SELECT current_setting($1)", name)) for name in names]

    assert [10, 5, 3, 25_000] == limits


async def test_hanging_server_lets_go(
    empty_database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gives up on a server that answers no more is not held back by it."""
    monkeypatch.setattr(session, "CLOSE_SECONDS", 0.05)
    suspended: asyncio.Future[psutil.Process] = asyncio.get_running_loop().create_future()

    async def hang() -> None:
        async with open_session(empty_database_settings) as connection:
            process = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
            process.suspend()
            suspended.set_result(process)
            await connection.fetchval("SELECT 1")

    task = asyncio.create_task(hang())
    process = await suspended
    task.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(60):
                await asyncio.shield(task)
    finally:
        process.resume()


async def test_missing_privilege_on_the_schema_is_named(
    guest_settings: DatabaseSettings, empty_connection: asyncpg.Connection, superuser: asyncpg.Connection
) -> None:
    """A role that may create nothing in the schema fails with the schema's name, and leaves nothing."""
    await superuser.execute(f"REVOKE ALL ON SCHEMA public FROM {guest_settings.url.username}")

    with pytest.raises(
        MigrationFailedError, match=r"permission denied for schema public(.|\n)*Grant the user"
    ):
        await migrate(guest_settings)

    assert await empty_connection.fetchval("SELECT to_regclass('outbox')") is None


async def test_reader_needs_select_alone(
    empty_database_settings: DatabaseSettings,
    guest_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """Who may only read the history can list it; who may not is told which right is missing."""
    await migrate(empty_database_settings)

    async with open_session(guest_settings) as guest:
        with pytest.raises(MigrationError, match="GRANT SELECT ON migration"):
            await read_status(guest)
        await empty_connection.execute(f"GRANT SELECT ON migration TO {guest_settings.url.username}")

        assert (await read_status(guest)).at_head
