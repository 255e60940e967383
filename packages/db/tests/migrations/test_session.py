"""Why a run can't begin, and what to do: the server away, too old, or not for us."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret
from sherpa.db.migrations import session
from sherpa.db.migrations.errors import ConnectionFailedError, HistoryError, MigrationFailedError
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.status import read_status


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
        with pytest.raises(HistoryError, match="GRANT SELECT ON migration"):
            await read_status(guest)
        await empty_connection.execute(f"GRANT SELECT ON migration TO {guest_settings.url.username}")

        assert (await read_status(guest)).at_head
