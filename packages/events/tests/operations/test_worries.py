"""Worries: what an operator must hear of the broker itself."""

import asyncpg

from sherpa.config import EventsSettings
from sherpa.events import locks
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.operations.looking import look
from sherpa.events.operations.worries import worries
from sherpa.events.relay.leadership import layout_name


async def test_broker_that_could_lose_events_is_a_worry(connection: asyncpg.Connection) -> None:
    """Why it could, and that it has no room for more, are said with what to do."""
    settings = EventsSettings()
    broker = MemoryBroker(room=2)
    await broker.append(0, await broker.take(0, "relay"), [{"id": "1"}, {"id": "2"}])

    found = "\n".join(worries(await look(connection, broker, settings), settings))

    assert "and end with it. Use Redis." in found
    assert "uses 100% of its memory, so the relay pauses" in found


async def test_weaknesses_come_last(connection: asyncpg.Connection) -> None:
    """What could happen some day stands behind what goes wrong now: in development it is always there."""
    settings = EventsSettings()
    broker = MemoryBroker()

    nobody_relays, weakness = worries(await look(connection, broker, settings), settings)

    assert nobody_relays.startswith("Nobody relays partition 0")
    assert [weakness] == list(await broker.weaknesses())


async def test_another_division_is_told_once(connection: asyncpg.Connection) -> None:
    """While relays of another EVENTS_PARTITIONS work, nobody is told to start some."""
    settings = EventsSettings(partitions=2)
    await locks.take(connection, layout_name(1), shared=True)

    found = "\n".join(worries(await look(connection, MemoryBroker(), settings), settings))

    assert "A relay runs with EVENTS_PARTITIONS=1" in found
    assert "Nobody relays" not in found
