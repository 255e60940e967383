"""One relay leads a partition: others stand by, take over, and refuse what a former leader still tries."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

import asyncpg
import pytest

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up, marked, running
from sherpa.config import DatabaseSettings, EventsSettings
from sherpa.db.errors import DatabaseRefusedError
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.broker import BEGINNING, Broker, Fields, Token
from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.metrics import Metrics
from sherpa.events.relay.leadership import seek
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.relay import Relay
from sherpa.events.relay.session import open_session

END_RELAYS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name LIKE 'sherpa-relay-%' AND datname = current_database()
"""

ENDLESS = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"
SENDING = """
SELECT true FROM pg_stat_activity
WHERE application_name = 'sherpa-relay-0' AND datname = current_database() AND wait_event = 'ClientWrite'
"""


class SlowBroker(MemoryBroker):
    """A broker that takes its time for an append."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.appending = asyncio.Event()
        self._seconds = seconds

    async def append(
        self,
        partition: int,
        token: Token,
        entries: Sequence[Fields],
        *,
        after: str = BEGINNING,
        bookmark: str = "",
    ) -> str:
        """Append after a while."""
        self.appending.set()
        await asyncio.sleep(self._seconds)
        return await super().append(partition, token, entries, after=after, bookmark=bookmark)


async def test_second_relay_stands_by(make_relay: MakeRelay) -> None:
    """While one leads, the other one asks in vain, however often."""
    leader, standby = make_relay(), make_relay()

    outcomes = [await leader.step(), await standby.step(), await standby.step()]

    assert [Outcome.LEADING, Outcome.STANDBY, Outcome.STANDBY] == outcomes


async def test_closed_leader_is_followed_at_once(make_relay: MakeRelay) -> None:
    """Once a leader has closed, the very next step of a standby takes the lead."""
    leader, standby = make_relay(), make_relay()
    await leader.step()
    await standby.step()

    await leader.close()

    assert Outcome.LEADING is await standby.step()


async def test_only_one_of_two_publishes(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """With two relays at work each event is published once, in order, by the same relay."""
    measures = [Metrics(), Metrics()]

    async with running(*(make_relay(metrics=each) for each in measures)):
        for start in range(0, 1_000, 50):
            await writer.publish(*range(start, start + 50))
        await eventually(lambda: all_marked(connection, 1_000))

    assert list(range(1_000)) == await stream.numbers()
    published = [
        each.registry.get_sample_value("sherpa_events_published_total", {"partition": "0"})
        for each in measures
    ]
    assert [0, 1_000] == sorted(each or 0 for each in published)


async def all_marked(connection: asyncpg.Connection, number: int) -> bool:
    """Tell whether so many events are marked."""
    return await marked(connection) == number


async def test_ended_session_is_followed(
    make_relay: MakeRelay, connection: asyncpg.Connection, writer: Writer, stream: Stream
) -> None:
    """A leader whose session was ended finds that out, and leaves the lead to whoever has it."""
    leader, standby = make_relay(), make_relay()
    await leader.step()
    await connection.fetch(END_RELAYS)
    await writer.publish(1)

    outcomes = [await standby.step(), await leader.step(), await leader.step()]

    assert [Outcome.LEADING, Outcome.DATABASE_AWAY, Outcome.STANDBY] == outcomes
    await catch_up(standby)
    assert [1] == await stream.numbers()


async def test_former_leader_cannot_append(
    make_relay: MakeRelay, connection: asyncpg.Connection, writer: Writer
) -> None:
    """A leader that had read a batch when it lost its session is refused by the broker."""
    broker = MemoryBroker()
    former, leader = make_relay(at=broker), make_relay(at=broker)
    await writer.publish(*range(3))
    assert [Outcome.LEADING, Outcome.MOVED] == [await former.step(), await former.step()]
    await connection.fetch(END_RELAYS)
    await catch_up(leader)

    outcomes = [await former.step() for _ in range(3)]

    assert [Outcome.FENCED, Outcome.DATABASE_AWAY, Outcome.STANDBY] == outcomes
    assert 3 == (await broker.state(0)).length


async def test_former_leader_cannot_mark(
    make_relay: MakeRelay, connection: asyncpg.Connection, writer: Writer, stream: Stream
) -> None:
    """A leader that lost its session after an append marks nothing: its follower publishes again."""
    former, leader = make_relay(), make_relay()
    await writer.publish(*range(3))
    while await former.step() is not Outcome.CAUGHT_UP:
        pass
    await connection.fetch(END_RELAYS)

    assert Outcome.DATABASE_AWAY is await former.step()
    assert 0 == await marked(connection)
    await catch_up(leader)
    assert [0, 1, 2, 0, 1, 2] == await stream.numbers()
    assert 3 == await marked(connection)


async def test_role_that_was_taken_is_taken_back(
    make_relay: MakeRelay, broker: Broker, writer: Writer, stream: Stream
) -> None:
    """A leader whose token is outdated, but whose session lives, takes the role again and goes on."""
    relay = make_relay()
    await catch_up(relay)
    await broker.take(0, "relay")
    await writer.publish(1, 2)

    outcomes = await catch_up(relay)

    assert Outcome.FENCED in outcomes
    assert [1, 2] == await stream.numbers()


async def test_clean_stop_finishes_the_batch(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """A relay that is stopped while it appends marks what the broker confirms, and its lock is free."""
    stop = asyncio.Event()
    broker = SlowBroker(0.3)
    await writer.publish(*range(30))
    task = asyncio.create_task(make_relay(at=broker, batch_size=10).run(stop))
    await broker.appending.wait()

    stop.set()
    await task

    assert 10 == await marked(connection) == (await broker.state(0)).length
    assert Outcome.LEADING is await make_relay(at=broker).step()


async def test_session_dies_with_a_silent_process(
    make_relay: MakeRelay, connection: asyncpg.Connection
) -> None:
    """A leader that does nothing for 3 s, as a paused process, has lost its session and the lead."""
    leader, standby = make_relay(), make_relay()
    await leader.step()

    await eventually(lambda: has_taken(standby))

    assert Outcome.DATABASE_AWAY is await leader.step()
    await leader.close()


async def test_session_dies_while_rows_are_sent(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """A session whose process is paused in the midst of a result, which is not idle, ends as well."""
    session = await open_session(database_settings, "sherpa-relay-0", lambda: None)
    # Longer than our own patience with a statement, which a paused process does not have.
    reading = asyncio.create_task(session.connection.fetch(ENDLESS, timeout=3600))
    await asyncio.sleep(0.1)

    attrgetter("_transport")(session.connection).pause_reading()  # asyncpg has no public way to it
    await eventually(lambda: connection.fetchval(SENDING))
    await eventually(lambda: connection.fetchval(f"SELECT NOT EXISTS ({SENDING})"))

    session.connection.terminate()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await reading


async def test_session_dies_in_mid_statement(
    make_relay: MakeRelay, database_settings: DatabaseSettings
) -> None:
    """A leader that is paused between a statement's parsing and its running is ended by the standby."""
    session, standby = await open_session(database_settings, "paused", lambda: None), make_relay()
    await seek(session, 0, 1)
    await session.connection.prepare("SELECT 42")

    await eventually(lambda: has_taken(standby))

    session.connection.terminate()


async def has_taken(relay: Relay) -> bool:
    """Tell whether a relay's step has given it the lead."""
    return await relay.step() is Outcome.LEADING


async def test_idle_leader_keeps_its_session(make_relay: MakeRelay, connection: asyncpg.Connection) -> None:
    """A leader with nothing to do, and no reason to look for a long time, still shows that it lives."""
    async with running(make_relay(poll_seconds=3600)):
        await eventually(lambda: relay_session(connection))
        before = await relay_session(connection)
        await asyncio.sleep(4)
        after = await relay_session(connection)

    assert before == after is not None


async def relay_session(connection: asyncpg.Connection) -> object:
    """Return the process id of the session that leads, if there is one."""
    return await connection.fetchval(
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
        " AND mode = 'ExclusiveLock' AND application_name = 'sherpa-relay-0'"
        " AND datname = current_database()"
    )


async def test_lead_is_kept_while_the_broker_stalls(
    make_relay: MakeRelay, writer: Writer, connection: asyncpg.Connection
) -> None:
    """An append that takes longer than a silent session lives does not cost the lead."""
    await writer.publish(1)

    outcomes = await catch_up(make_relay(at=SlowBroker(4)))

    assert {Outcome.LEADING, Outcome.MOVED, Outcome.CAUGHT_UP, Outcome.IDLE} == set(outcomes)
    assert 1 == await marked(connection)


def test_pooler_is_refused(database_settings: DatabaseSettings) -> None:
    """Settings that lead to a pooler are refused at once, with what to do about it."""
    settings = replace(database_settings, statement_cache_size=0)

    with pytest.raises(DatabaseRefusedError, match="PostgreSQL's own address"):
        Relay(settings, MemoryBroker(), settings=EventsSettings())
