"""What works beside a Database's transactions: one of each kind, closed before the pool is."""

import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseClosedError
from sherpa.db.postgres import PooledEngine


class Clerk:
    """A companion that uses the pool when it is closed."""

    def __init__(self, engine: PooledEngine) -> None:
        self._connections = engine.connections
        self.answer: object = None

    async def close(self) -> None:
        """Ask the server for something."""
        async with self._connections.connection() as connection:
            self.answer = await connection.fetchval("SELECT 42")


class Failing(Clerk):
    """A companion that can't be closed."""

    async def close(self) -> None:
        """Fail."""
        raise LookupError


async def test_one_of_each_kind(database: Database) -> None:
    """Whoever asks gets the same one."""
    one = database.engine.companion(Clerk)

    assert one is database.engine.companion(Clerk)
    assert Clerk is type(one)


async def test_closed_while_the_pool_is_open(database_settings: DatabaseSettings) -> None:
    """A companion may finish what it has to say to the server; afterwards there is another one."""
    database = Database(database_settings, application_name="companion")
    async with database:
        clerk = database.engine.companion(Clerk)

    assert 42 == clerk.answer
    assert clerk is not database.engine.companion(Clerk)


async def test_failing_companion_keeps_nothing_open(database_settings: DatabaseSettings) -> None:
    """An error of a companion is told, and all else is closed all the same."""
    database = Database(database_settings, application_name="companion")
    await database.open()
    clerk = database.engine.companion(Clerk)
    database.engine.companion(Failing)

    with pytest.raises(LookupError):
        await database.close()

    assert 42 == clerk.answer
    with pytest.raises(DatabaseClosedError):
        async with database.connection():
            pass
