"""The migrations make the schema that was asked for, fact by fact, and their way back undoes it."""

from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import Snapshot, diff, snapshot
from sherpa.db.migrations.comparison.declared import find_drift
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.migration import Irreversible
from sherpa.db.migrations.runner import migrate, revert

SEED = Path(__file__).parent.parent / "data"
HISTORY = {"public.migration"}
ALL = [file.id for file in list_files()]
# What has no way back says so, with the reason: loading it makes sure of that.
REVERSIBLE = [file.id for file in list_files() if not isinstance(load(file).backwards, Irreversible)]


async def test_first_migrations_equal_the_seed(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The first two migrations make what the seed's SQL makes: every column, constraint and index."""
    expected = await _made_by_seed(empty_connection)

    await migrate(empty_database_settings, to="002_membership")

    actual = (await snapshot(empty_connection)).without(HISTORY)
    assert () == diff(expected, _without_extensions(actual))
    assert expected == _without_extensions(actual)


async def test_all_migrations_equal_the_tables(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """All migrations together make what the table classes declare."""
    await migrate(empty_database_settings)

    assert () == await find_drift(empty_connection)


@pytest.mark.parametrize("migration_id", REVERSIBLE)
async def test_there_and_back_changes_nothing(
    migration_id: str, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """One migration, applied and reverted, leaves the catalogue as it found it."""
    earlier = [each for each in ALL if each < migration_id]
    if earlier:
        await migrate(empty_database_settings, to=earlier[-1])
    before = await snapshot(empty_connection)

    there = await migrate(empty_database_settings, to=migration_id)
    back = await revert(empty_database_settings)

    assert () == diff(before, await snapshot(empty_connection))
    assert [migration_id] == [step.migration_id for step in there] == [step.migration_id for step in back]


async def test_all_there_and_back_changes_nothing(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """All migrations, applied and reverted, leave an empty database empty: of the history, too."""
    before = await snapshot(empty_connection)

    await migrate(empty_database_settings)
    await revert(empty_database_settings, everything=True)

    assert () == diff(before, await snapshot(empty_connection))


async def test_second_time_gives_the_same(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """After the way back, the way there leads to the same schema."""
    await migrate(empty_database_settings)
    expected = await snapshot(empty_connection)

    await revert(empty_database_settings, everything=True)
    await migrate(empty_database_settings)

    assert () == diff(expected, await snapshot(empty_connection))


async def test_rows_are_no_obstacle_to_the_way_back(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Reverting drops tables that hold rows, in the order that their references need."""
    before = await snapshot(empty_connection)
    await migrate(empty_database_settings)
    await empty_connection.execute("""
        INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
        VALUES ('membership', gen_random_uuid(), 'started', '{}');
        INSERT INTO processed_events VALUES (gen_random_uuid(), 'send_mail');
        INSERT INTO memberships (id, user_id, tier, status)
        VALUES ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'free', 'active');
        INSERT INTO billing_history (membership_id, event_type)
        VALUES ('00000000-0000-0000-0000-000000000001', 'charged');
    """)

    await revert(empty_database_settings, everything=True)

    assert () == diff(before, await snapshot(empty_connection))


async def _made_by_seed(connection: asyncpg.Connection) -> Snapshot:
    """Run the seed in a transaction that is rolled back, and return what it made."""
    transaction = connection.transaction()
    await transaction.start()
    for script in sorted(SEED.glob("*.sql")):
        await connection.execute(script.read_text())
    made = await snapshot(connection)
    await transaction.rollback()
    return made


def _without_extensions(made: Snapshot) -> Snapshot:
    """Leave out what 001 adds to the seed where the server has it; `test_extensions` is about that."""
    names = ("pgcrypto", '"uuid-ossp"')
    return Snapshot(tuple(fact for fact in made.facts if not fact.name.endswith(names)))
