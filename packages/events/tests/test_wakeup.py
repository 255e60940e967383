"""The relay is woken after COMMIT, seldom enough and never too late; the caller doesn't notice."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar
from uuid import uuid4

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.engine import Database
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import publish
from sherpa.events.wakeup import CHANNEL, Wakeup

# Only so that a wake-up that never comes is a failure and no hang.
LONG = 20.0


class Ticked(Payload, frozen=True, kw_only=True):
    """A payload that says nothing."""

    event_type: ClassVar[str] = "clock.ticked"
    aggregate_type: ClassVar[str] = "clock"


def ticked() -> Event[Ticked]:
    """Return an event of an aggregate of its own."""
    return Event(aggregate_id=uuid4(), payload=Ticked())


class Listener:
    """A session that listens as the relay does: for each wake-up the number of events it could see then."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._woken = asyncio.Semaphore(0)
        self.count = 0

    def hear(self, *_: object) -> None:
        """Be told by asyncpg."""
        self.count += 1
        self._woken.release()

    async def until_woken(self) -> int:
        """Wait for the next wake-up; return how many events are there."""
        async with asyncio.timeout(LONG):
            await self._woken.acquire()
        return await self.look()

    async def look(self) -> int:
        """Return how many events are there; what was sent to the session before is heard by then."""
        seen: int = await self._connection.fetchval("SELECT count(*) FROM outbox")
        return seen

    async def until_seen(self, events: int) -> None:
        """Take wake-ups until one finds so many events: the last one must not be missing."""
        while await self.until_woken() < events:
            pass


@pytest.fixture
async def listener(connection: asyncpg.Connection) -> AsyncIterator[Listener]:
    """Return a session that listens."""
    listener = Listener(connection)
    await connection.add_listener(CHANNEL, listener.hear)
    yield listener
    await connection.remove_listener(CHANNEL, listener.hear)


async def test_woken_when_the_event_is_there(database: Database, listener: Listener) -> None:
    """Whoever is woken sees the event: the wake-up is sent after COMMIT and not in the transaction."""
    async with database.transaction() as transaction:
        await publish(transaction, ticked())

    assert 1 == await listener.until_woken()


async def test_last_event_has_a_wakeup(database: Database, listener: Listener) -> None:
    """Of events faster than wake-ups, none is left without one that comes after it."""

    async def write() -> None:
        async with database.transaction() as transaction:
            await publish(transaction, ticked())

    for _ in range(20):
        await asyncio.gather(*(write() for _ in range(5)))

    await listener.until_seen(100)


async def test_burst_is_two_wakeups(database: Database, listener: Listener) -> None:
    """A burst is told at its beginning and once more at its end, however many rings it has."""
    wakeup = database.engine.companion(Wakeup)

    wakeup.ring()
    await listener.until_woken()
    for _ in range(1000):
        wakeup.ring()
    await wakeup.close()
    await listener.until_woken()

    assert 2 == listener.count


async def test_wakeups_keep_their_distance(
    database: Database, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it rings, the next wake-up is not sent before its time; closing doesn't wait for that."""
    monkeypatch.setattr("sherpa.events.wakeup.INTERVAL_SECONDS", 3600.0)
    wakeup = database.engine.companion(Wakeup)
    wakeup.ring()
    await listener.until_woken()

    for _ in range(50):
        wakeup.ring()
        await listener.look()  # the time in which a wake-up would come
    early = listener.count
    await wakeup.close()
    await listener.until_woken()

    assert (1, 2) == (early, listener.count)


async def test_nothing_is_told_of_a_rollback(database: Database, listener: Listener) -> None:
    """A transaction that published and failed wakes nobody: the wake-up that comes is of the next one."""
    with pytest.raises(LookupError):
        async with database.transaction() as transaction:
            await publish(transaction, ticked())
            raise LookupError
    async with database.transaction() as transaction:
        await publish(transaction, ticked())
    await database.close()
    await listener.until_woken()

    assert 1 == listener.count


async def test_closing_sends_the_last_one(database_settings: DatabaseSettings, listener: Listener) -> None:
    """A process that publishes and ends at once has woken the relay: what is due is not cut off."""
    async with Database(database_settings, application_name="short") as database:
        wakeup = database.engine.companion(Wakeup)
        wakeup.ring()
        await listener.until_woken()
        wakeup.ring()

    await listener.until_woken()

    assert 2 == listener.count


async def test_closed_wakeup_starts_nothing(database: Database) -> None:
    """Whoever commits while the database closes starts no task that nobody would wait for."""
    wakeup = database.engine.companion(Wakeup)
    await wakeup.close()
    before = asyncio.all_tasks()

    wakeup.ring()

    assert before == asyncio.all_tasks()


async def test_reopened_database_wakes_again(database: Database, listener: Listener) -> None:
    """A database that was closed and opened again has a new wake-up."""
    await database.close()
    await database.open()

    async with database.transaction() as transaction:
        await publish(transaction, ticked())

    assert 1 == await listener.until_woken()


async def test_each_database_has_its_own(database: Database, database_settings: DatabaseSettings) -> None:
    """Two databases of a process don't share one, nor does closing one end the other's."""
    async with Database(database_settings, application_name="other") as other:
        assert database.engine.companion(Wakeup) is not other.engine.companion(Wakeup)
        assert other.engine.companion(Wakeup) is other.engine.companion(Wakeup)


def test_each_event_loop_has_its_own(database_settings: DatabaseSettings) -> None:
    """A process that runs one event loop after another publishes in each of them."""

    async def publish_one() -> int:
        async with Database(database_settings, application_name="loop") as database:
            async with database.transaction() as transaction:
                await publish(transaction, ticked())
            async with database.connection() as connection:
                count: int = await connection.fetchval("SELECT count(*) FROM outbox")
        return count

    assert [1, 2] == [asyncio.run(publish_one()) for _ in range(2)]


async def test_wakeup_is_not_in_the_callers_transaction(database: Database, listener: Listener) -> None:
    """A ring inside an open transaction is sent at once, by a session of its own."""
    async with database.transaction() as transaction:
        await publish(transaction, ticked())
        database.engine.companion(Wakeup).ring()

        assert 0 == await listener.until_woken()
