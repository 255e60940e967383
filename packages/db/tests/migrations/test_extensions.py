"""001 creates uuid-ossp and pgcrypto where the server lets it, goes on where not, takes back its own."""

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.errors import MigrationFailedError
from sherpa.db.migrations.events import Event, Notice
from sherpa.db.migrations.runner import migrate, revert

WANTED = ("uuid-ossp", "pgcrypto")
EXTENSIONS = "SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'"


@pytest.fixture
async def loadable(empty_connection: asyncpg.Connection) -> list[str]:
    """Return which of the two this server can load, found out by trying."""
    found = []
    for extension in WANTED:
        transaction = empty_connection.transaction()
        await transaction.start()
        try:
            await empty_connection.execute(f'CREATE EXTENSION "{extension}"')
            found.append(extension)
        except asyncpg.PostgresError:
            pass
        await transaction.rollback()
    return sorted(found)


async def test_extensions_are_created_where_possible(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, loadable: list[str]
) -> None:
    """What the server can load is there after 001; of what it can't, a notice tells."""
    told: list[Event] = []

    await migrate(empty_database_settings, to="001", report=told.append)

    assert loadable == (await empty_connection.fetchval(EXTENSIONS) or [])
    left_out = [event.text for event in told if isinstance(event, Notice)]
    assert len(WANTED) - len(loadable) == sum("is left out" in text for text in left_out)


async def test_missing_library_is_no_obstacle(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, loadable: list[str]
) -> None:
    """On a server that offers uuid-ossp but lacks its library, 001 is applied without it."""
    if "uuid-ossp" in loadable:
        pytest.skip("this server has the library of uuid-ossp")

    await migrate(empty_database_settings)

    assert await empty_connection.fetchval("SELECT to_regclass('outbox') IS NOT NULL")


async def test_missing_privilege_is_no_obstacle(
    guest_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """A role that may not create extensions migrates without them, there and back."""
    before = await snapshot(empty_connection)

    await migrate(guest_settings)
    extensions = await empty_connection.fetchval(EXTENSIONS)
    await revert(guest_settings, everything=True)

    assert extensions is None
    assert () == diff(before, await snapshot(empty_connection))


async def test_extension_that_was_there_stays(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, loadable: list[str]
) -> None:
    """An extension that 001 found is neither touched by it nor taken away by its way back."""
    for extension in loadable:
        await empty_connection.execute(f'CREATE EXTENSION "{extension}"')
    before = await snapshot(empty_connection)

    await migrate(empty_database_settings)
    await revert(empty_database_settings, everything=True)

    assert () == diff(before, await snapshot(empty_connection))


async def test_extension_in_use_stops_the_way_back(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, loadable: list[str]
) -> None:
    """An extension that something else uses by now is not torn away from it."""
    if "pgcrypto" not in loadable:
        pytest.skip("this server cannot load pgcrypto")
    await migrate(empty_database_settings, to="001")
    await empty_connection.execute("CREATE VIEW theirs AS SELECT gen_salt('bf')")
    before = await snapshot(empty_connection)

    with pytest.raises(MigrationFailedError, match="view theirs depends on function"):
        await revert(empty_database_settings)

    assert () == diff(before, await snapshot(empty_connection))
