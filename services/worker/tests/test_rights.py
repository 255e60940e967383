"""What the worker finds of its role's rights: which roles it may play, and what to grant."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.telemetry.health import Answer
from sherpa.worker.rights import GRANTED, MISSING, READ_ONLY, Rights

ROLES = ("relay", "handler/one", "handler/two")
HANDLERS = frozenset(ROLES[1:])


@pytest.fixture
async def ours(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """A database with a pool of one connection."""
    settings = replace(database_settings, min_connections=0, max_connections=1)
    async with Database(settings, application_name="test") as database:
        yield database


async def test_all_is_granted(ours: Database) -> None:
    """Who owns the tables may do everything."""
    rights = Rights(ours, ROLES)

    assert (Answer(GRANTED), frozenset(ROLES)) == (await rights.look(), rights.able)


@pytest.mark.parametrize(
    ("right", "table", "able"),
    [
        ("UPDATE", "outbox", HANDLERS),
        ("INSERT", "processed_events", frozenset({"relay"})),
        ("DELETE", "failed_events", frozenset({"relay"})),
    ],
)
async def test_a_missing_right_is_named(
    ours: Database,
    connection: asyncpg.Connection,
    capsys: pytest.CaptureFixture[str],
    right: str,
    table: str,
    able: frozenset[str],
) -> None:
    """What is missing is named, with the GRANT once in the log; the other roles are still played."""
    await connection.execute(f"REVOKE {right} ON {table} FROM CURRENT_USER")
    rights = Rights(ours, ROLES)

    answers = [await rights.look(), await rights.look()]
    left = rights.able
    await connection.execute(f"GRANT {right} ON {table} TO CURRENT_USER")

    assert [Answer(MISSING, missing=(f"{right} on {table}",))] * 2 == answers
    assert (able, Answer(GRANTED), frozenset(ROLES)) == (left, await rights.look(), rights.able)
    assert 1 == capsys.readouterr().out.count(f"GRANT {right} ON {table} TO ")


async def test_who_does_not_relay_needs_no_rights_for_it(
    ours: Database, connection: asyncpg.Connection
) -> None:
    """Only what the worker's roles take is asked for."""
    await connection.execute("REVOKE UPDATE ON outbox FROM CURRENT_USER")

    assert Answer(GRANTED) == await Rights(ours, ROLES[1:]).look()
    assert MISSING == (await Rights(ours, ROLES[:1]).look()).status


async def test_read_only_is_seen_to_end(database_settings: DatabaseSettings) -> None:
    """Nobody can work where nothing can be written; once it can, the next looks find out in a new session."""
    settings = replace(database_settings, min_connections=0, max_connections=1)
    name = database_settings.url.database
    plain = await asyncpg.connect(database_settings.url.reveal())
    await plain.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with Database(settings, application_name="test") as database:
        rights = Rights(database, ROLES)
        before, able = (await rights.look()).status, rights.able
        await plain.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await rights.look()  # in the session that was read-only, or in a new one

        after = await rights.look()
    await plain.close()

    assert (READ_ONLY, frozenset()) == (before, able)
    assert (Answer(GRANTED), frozenset(ROLES)) == (after, rights.able)
