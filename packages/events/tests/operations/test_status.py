"""Status: what is there, who does it, how fast, what to see to; and whichever server is away, it says so."""

import json
from datetime import timedelta

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Append, Fail, Run, Write
from sherpa.config import EventsSettings
from sherpa.events import locks
from sherpa.events.brokers.broker import Broker
from sherpa.events.handling import names
from sherpa.events.operations.looking import look
from sherpa.events.operations.worries import worries
from sherpa.events.relay.leadership import layout_name, lock_name

EVENTS = EventsSettings()


async def test_outbox_is_counted(write: Write, connection: asyncpg.Connection, broker: Broker) -> None:
    """Pending, the age of the oldest, and the rate of what was published lately."""
    await write(5, published=False, age=timedelta(minutes=5))
    await write(20)

    seen = await look(connection, broker, EVENTS)

    assert (5, 2.0) == (seen.pending, seen.published_per_second)
    assert 300 <= seen.oldest_pending_seconds < 400


async def test_each_partition_has_its_share(
    write: Write, connection: asyncpg.Connection, broker: Broker
) -> None:
    """Each partition of the settings is listed, with what waits for its relay."""
    await write(40, published=False)

    seen = await look(connection, broker, EventsSettings(partitions=2))

    assert [0, 1] == [partition.number for partition in seen.partitions]
    assert 40 == sum(partition.pending for partition in seen.partitions)
    assert all(partition.pending for partition in seen.partitions)


async def test_leader_is_named(connection: asyncpg.Connection, broker: Broker) -> None:
    """Who leads a partition is named by its session; of nobody it says so."""
    await locks.take(connection, lock_name(0, 2))

    seen = await look(connection, broker, EventsSettings(partitions=2))

    leaders = [partition.leader and partition.leader.pid for partition in seen.partitions]
    assert [connection.get_server_pid(), None] == leaders
    assert any("Nobody relays partition 1" in worry for worry in worries(seen, EventsSettings(partitions=2)))


async def test_group_is_told(
    append: Append, fail: Fail, connection: asyncpg.Connection, broker: Broker
) -> None:
    """A handler's lag, what it has in hand, its failed events, its rate and who runs it."""
    await append(3)
    await broker.ensure_group(0, "welcome")
    await broker.read(0, "welcome", "c", await broker.take(0, "welcome"), count=1)
    for status in ("retrying", "waiting", "waiting", "dead"):
        await fail(status=status)
    await connection.execute(
        "INSERT INTO processed_events SELECT gen_random_uuid(), 'welcome' FROM generate_series(1, 10)"
    )
    await locks.take(connection, names.lock_name("welcome", 0), shared=True)

    (handler,) = (await look(connection, broker, EVENTS)).handlers

    assert ("welcome", 2, 1) == (handler.name, handler.lag, handler.pending)
    assert (1, 2, 1) == (handler.retrying, handler.waiting, handler.dead)
    assert 1.0 == handler.handled_per_second
    assert [connection.get_server_pid()] == [group.owner and group.owner.pid for group in handler.groups]


async def test_worries_say_what_to_do(
    write: Write, append: Append, fail: Fail, connection: asyncpg.Connection, broker: Broker
) -> None:
    """Dead letters, a group alone, an old event, a full stream, another division: a sentence each."""
    await write(published=False, age=timedelta(minutes=5))
    await append(3)
    await broker.ensure_group(0, "removed")
    await broker.record_layout(4)
    await fail()
    await locks.take(connection, layout_name(8), shared=True)
    events = EventsSettings(stream_max_length=3)

    found = "\n".join(worries(await look(connection, broker, events), events))

    assert "`dead-letters list --handler welcome`" in found
    assert "`groups forget removed`" in found
    assert "has waited 30" in found
    assert "has 3 entries, so the relay pauses" in found
    assert "EVENTS_PARTITIONS=8" in found
    assert "still divided by 4" in found


async def test_command_shows_all(run: Run, append: Append, broker: Broker, fail: Fail) -> None:
    """As text for people, as JSON for scripts, with the same facts; it ends well."""
    await append(3)
    await broker.ensure_group(0, "welcome")
    await fail()

    code, text, err = await run("status")
    _, document, _ = await run("status", "--json")

    facts = json.loads(document)
    assert (0, "") == (code, err)
    assert [("welcome", 3, 0, 1)] == [
        (each["name"], each["lag"], each["pending"], each["dead"]) for each in facts["handlers"]
    ]
    assert [3] == [each["stream_length"] for each in facts["partitions"]]
    assert "welcome" in text
    assert "To see to:" in text
    assert facts["worries"]


async def test_broker_away_leaves_the_rest(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis there is still what PostgreSQL knows; the exit code is 1, the password is nowhere."""
    await write(2, published=False)
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@127.0.0.1:1/0")

    code, out, err = await run("status", "--json")

    facts = json.loads(out)
    assert (1, 2) == (code, facts["pending"])
    assert "127.0.0.1:1" in facts["broker"]["error"]
    assert "hidden" not in out + err


async def test_database_away_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PostgreSQL there is no status, but a clear word."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hidden@127.0.0.1:1/stories")

    code, out, err = await run("status")

    assert (1, "") == (code, out)
    assert "127.0.0.1:1" in err
