"""The migrations after the seed's: rows survive each of them both ways, and code of either time goes on."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.errors import MigrationFailedError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.session import open_session

AFTER_SEED = [file.id for file in list_files()][2:]
A, B = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "ab")
RECORD = "INSERT INTO processed_events (event_id, handler_name) VALUES ($1, $2)"
# How code of the new time records an event: by the columns of the new key.
RECORD_NEW = f"{RECORD} ON CONFLICT (event_id, handler_name) DO NOTHING"
ROWS = {
    "processed_events": "SELECT event_id, handler_name, processed_at FROM processed_events ORDER BY 1, 2",
    # By name: a column that a later migration adds is no change of a row.
    "memberships": "SELECT id, user_id, tier, status, created_at FROM memberships ORDER BY id",
}


async def _rows(connection: asyncpg.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: [tuple(row) for row in await connection.fetch(query)] for table, query in ROWS.items()}


async def _fill(connection: asyncpg.Connection) -> None:
    await connection.execute(f"""
        INSERT INTO processed_events VALUES ('{A}', 'mail'), ('{B}', 'statistic');
        INSERT INTO memberships (id, user_id, tier, status) VALUES ('{A}', '{B}', 'free', 'active');
    """)


@pytest.mark.parametrize("migration_id", AFTER_SEED)
async def test_rows_survive_both_ways(
    migration_id: str, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Every row is the same after a migration, and after its way back."""
    known = [file.id for file in list_files()]
    await migrate(empty_database_settings, to=known[known.index(migration_id) - 1])
    await _fill(empty_connection)
    before = await _rows(empty_connection)

    await migrate(empty_database_settings, to=migration_id)
    there = await _rows(empty_connection)
    await revert(empty_database_settings)

    assert before == there
    assert before == await _rows(empty_connection)


async def test_seeds_key_hides_an_event(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Before: what one handler recorded, no other can record."""
    await migrate(empty_database_settings, to="002_membership")
    await empty_connection.execute(RECORD, A, "mail")

    with pytest.raises(asyncpg.UniqueViolationError, match="processed_events_pkey"):
        await empty_connection.execute(RECORD, A, "statistic")


async def test_each_handler_records_an_event(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """After: each handler has its own record of an event, and none is done twice, of old or of new code."""
    await migrate(empty_database_settings, to="002_membership")
    await empty_connection.execute(RECORD, A, "mail")

    await migrate(empty_database_settings)

    assert "INSERT 0 0" == await empty_connection.execute(RECORD_NEW, A, "mail")
    with pytest.raises(asyncpg.UniqueViolationError, match="processed_events_pkey"):
        await empty_connection.execute(RECORD, A, "mail")
    assert "INSERT 0 1" == await empty_connection.execute(RECORD_NEW, A, "statistic")
    assert "INSERT 0 1" == await empty_connection.execute(RECORD, B, "mail")


@pytest.mark.parametrize("migration_id", ["002_membership", *AFTER_SEED])
@pytest.mark.parametrize(
    ("record", "again"),
    [(RECORD, "processed_events_pkey"), (f"{RECORD} ON CONFLICT DO NOTHING", "INSERT 0 0")],
    ids=["plain", "do nothing"],
)
async def test_old_code_goes_on(
    record: str,
    again: str,
    migration_id: str,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """At every migration, code of the old time records an event once."""
    await migrate(empty_database_settings, to=migration_id)

    answers = [await _record(empty_connection, record, "mail") for _ in range(2)]

    assert ["INSERT 0 1", again] == answers


@pytest.mark.parametrize(
    ("migration_id", "other"),
    [("003_handler_key_index", "processed_events_pkey"), ("004_handler_key", "INSERT 0 1")],
)
async def test_new_code_may_be_early(
    migration_id: str,
    other: str,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """From 003 on, code of the new time records an event once; no second handler is passed over silently."""
    await migrate(empty_database_settings, to=migration_id)

    handlers = ("mail", "mail", "statistic")
    answers = [await _record(empty_connection, RECORD_NEW, handler) for handler in handlers]

    assert ["INSERT 0 1", "INSERT 0 0", other] == answers


async def _record(connection: asyncpg.Connection, statement: str, handler: str) -> str:
    """Return the server's answer to the record of an event, or the constraint that refused it."""
    try:
        return await connection.execute(statement, A, handler)
    except asyncpg.UniqueViolationError as error:
        return str(error.constraint_name)


async def test_way_back_refuses_to_lose_records(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Where two handlers recorded one event, the way back says so and changes nothing."""
    await migrate(empty_database_settings, to="004_handler_key")
    for handler in ("mail", "statistic"):
        await empty_connection.execute(RECORD, A, handler)
    before = await snapshot(empty_connection), await _rows(empty_connection)

    with pytest.raises(MigrationFailedError) as caught:
        await revert(empty_database_settings)

    assert "1 event(s) in processed_events are recorded by more than one handler" in str(caught.value)
    assert "Stay at 004" in str(caught.value)
    after = await snapshot(empty_connection), await _rows(empty_connection)
    assert () == diff(before[0], after[0])
    assert before == after


async def test_key_is_swapped_without_a_build(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The new key is the very index that 003 built: nothing is built while the table is locked."""
    index = "SELECT relfilenode FROM pg_class WHERE relname = $1"
    await migrate(empty_database_settings, to="003_handler_key_index")
    built = await empty_connection.fetchval(index, "processed_events_event_id_handler_name_key")

    await migrate(empty_database_settings, to="004_handler_key")

    assert built == await empty_connection.fetchval(index, "processed_events_pkey")


async def test_users_membership_is_found_by_the_other_index(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Without the second index, a user's membership is found by that of the UNIQUE."""
    await migrate(empty_database_settings)

    async with empty_connection.transaction():
        await empty_connection.execute("SET LOCAL enable_seqscan = off")
        plan = await empty_connection.fetch(f"EXPLAIN SELECT * FROM memberships WHERE user_id = '{A}'")

    assert any("memberships_user_id_key" in line[0] for line in plan)


async def test_handlers_work_on_meanwhile(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Handlers that record events all the time meet no error, there and back, and no record is lost."""
    await migrate(empty_database_settings, to="002_membership")
    recorded: list[str] = []
    is_over = asyncio.Event()

    async def handle() -> None:
        async with open_session(empty_database_settings) as session:
            while not is_over.is_set():
                event = str(uuid4())
                await session.execute(RECORD, event, "mail")
                assert "INSERT 0 0" == await session.execute(
                    f"{RECORD} ON CONFLICT DO NOTHING", event, "mail"
                )
                recorded.append(event)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(handle())
        for _ in range(2):
            await migrate(empty_database_settings)
            await revert(empty_database_settings, to="002_membership")
        is_over.set()

    rows = await empty_connection.fetch("SELECT event_id::text AS event FROM processed_events")
    assert sorted(recorded) == sorted(row["event"] for row in rows)


async def test_a_database_of_another_encoding_takes_them(
    empty_database_settings: DatabaseSettings, superuser: asyncpg.Connection
) -> None:
    """The server turns each script, comments included, into its own letters, of which it may have few."""
    name = f"{empty_database_settings.url.database}_latin1"
    await superuser.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' OWNER"
        f" {empty_database_settings.url.username}"
    )
    settings = replace(empty_database_settings, url=empty_database_settings.url.replace(database=name))

    try:
        steps = await migrate(settings)
    finally:
        await superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert [file.id for file in list_files()] == [step.migration_id for step in steps]
