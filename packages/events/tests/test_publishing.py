"""An event is in the outbox exactly if its transaction committed, with all that was said of it."""
# ruff: noqa: PT012 - what is tested are blocks, and errors that leave them

import asyncio
from datetime import timedelta
from typing import ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from sherpa.db.constraints import OutboxEventExistsError
from sherpa.db.engine import Database
from sherpa.db.errors import TransactionMisuseError
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import limit_payloads, publish, publish_all

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Renewed(Payload, frozen=True, kw_only=True):
    """A payload of the second version."""

    event_type: ClassVar[str] = "membership.renewed"
    aggregate_type: ClassVar[str] = "membership"
    schema_version: ClassVar[int] = 2
    months: int


def renewed(months: int = 1) -> Event[Renewed]:
    """Return an event of an aggregate of its own."""
    return Event(aggregate_id=uuid4(), payload=Renewed(months=months))


async def stored(connection: asyncpg.Connection) -> list[UUID]:
    """Return the outbox's events in the order that the relay takes them."""
    return [row["id"] for row in await connection.fetch("SELECT id FROM outbox ORDER BY created_at, id")]


async def test_every_fact_is_stored(database: Database, connection: asyncpg.Connection) -> None:
    """What the event says is what the row holds, and it waits to be published."""
    event = Event(
        aggregate_id=uuid4(),
        payload=Renewed(months=12),
        correlation_id=uuid4(),
        causation_id=uuid4(),
        traceparent=TRACE,
        tracestate="vendor=1",
    )

    async with database.transaction() as transaction:
        await publish(transaction, event)

    row = await connection.fetchrow("SELECT * FROM outbox")
    assert row is not None
    created_at = row["created_at"]
    assert {
        "id": event.id,
        "aggregate_type": "membership",
        "aggregate_id": event.aggregate_id,
        "event_type": "membership.renewed",
        "payload": '{"months": 12}',
        "schema_version": 2,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "traceparent": TRACE,
        "tracestate": "vendor=1",
        "created_at": created_at,
        "processed_at": None,
    } == dict(row)


async def test_rolled_back_with_its_transaction(database: Database, connection: asyncpg.Connection) -> None:
    """An error that undoes the change undoes the event."""
    with pytest.raises(LookupError):
        async with database.transaction() as transaction:
            await publish(transaction, renewed())
            raise LookupError

    assert [] == await stored(connection)


async def test_undone_with_its_savepoint(database: Database, connection: asyncpg.Connection) -> None:
    """An event of a part that failed alone is not there; those around it are."""
    before, inside, after = renewed(), renewed(), renewed()

    async with database.transaction() as transaction:
        await publish(transaction, before)
        with pytest.raises(LookupError):
            async with database.savepoint():
                await publish(transaction, inside)
                raise LookupError
        await publish(transaction, after)

    assert [before.id, after.id] == await stored(connection)


async def test_refused_after_the_end(database: Database) -> None:
    """A transaction that is over takes no event, instead of losing it."""
    async with database.transaction() as transaction:
        pass

    with pytest.raises(TransactionMisuseError, match="is over"):
        await publish(transaction, renewed())


async def test_same_id_is_refused(database: Database, connection: asyncpg.Connection) -> None:
    """An event that is in the outbox already is an error with a name of its own, and is kept once."""
    event = renewed()
    async with database.transaction() as transaction:
        await publish(transaction, event)

    with pytest.raises(OutboxEventExistsError):
        async with database.transaction() as transaction:
            await publish(transaction, event)

    assert [event.id] == await stored(connection)


async def test_same_id_is_named_where_it_is_published(
    database: Database, connection: asyncpg.Connection
) -> None:
    """The error has its name at the call, not only at the block's end: a part of the work may catch it."""
    event = renewed()

    async with database.transaction() as transaction:
        await publish(transaction, event)
        with pytest.raises(LookupError):
            async with database.savepoint():
                with pytest.raises(OutboxEventExistsError):
                    await publish(transaction, event)
                raise LookupError

    assert [event.id] == await stored(connection)


async def test_nothing_is_published_of_nothing(database: Database, connection: asyncpg.Connection) -> None:
    """No events are no statement: a transaction that only reads may publish none."""
    async with database.transaction(readonly=True) as transaction:
        await publish_all(transaction, [])

    assert [] == await stored(connection)


async def test_ids_are_version_7_and_rise() -> None:
    """An event's own id is a UUIDv7, and later ones are higher."""
    ids = [renewed().id for _ in range(1000)]

    assert {7} == {each.version for each in ids}
    assert sorted(ids) == ids


async def test_many_events_keep_their_order(database: Database, connection: asyncpg.Connection) -> None:
    """Call order is the outbox's order, within one statement and across them, whatever the ids are."""
    events = [
        Event(aggregate_id=uuid4(), payload=Renewed(months=each), id=uuid4() if each % 2 else uuid7())
        for each in range(2000)
    ]

    async with database.transaction() as transaction:
        await publish_all(transaction, events[:1990])
        for event in events[1990:]:
            await publish(transaction, event)

    assert [event.id for event in events] == await stored(connection)


async def test_events_are_a_microsecond_apart(database: Database, connection: asyncpg.Connection) -> None:
    """Order never rests on the ids: the events of one call have an instant each, however fast it is."""
    async with database.transaction() as transaction:
        await publish_all(transaction, [renewed() for _ in range(500)])

    apart = await connection.fetch(
        "SELECT DISTINCT created_at - lag(created_at) OVER (ORDER BY created_at) FROM outbox"
    )
    assert {None, timedelta(microseconds=1)} == {row[0] for row in apart}


async def test_more_than_a_statement_holds(database: Database, connection: asyncpg.Connection) -> None:
    """Events that could be too large together are several statements, in order; a failure undoes them all."""
    limit_payloads(database, 30 * 1024 * 1024)
    events = [renewed(each) for each in range(5)]

    async with database.transaction() as transaction:
        await publish_all(transaction, events)
    with pytest.raises(OutboxEventExistsError):
        async with database.transaction() as transaction:
            await publish_all(transaction, [renewed(), renewed(), renewed(), events[0]])

    rows = await connection.fetch(
        "SELECT id, created_at - lag(created_at) OVER (ORDER BY created_at) AS apart FROM outbox"
    )
    assert [event.id for event in events] == [row["id"] for row in rows]
    at_once = timedelta(microseconds=1)
    assert [True, False, True, False] == [row["apart"] == at_once for row in rows[1:]]


async def test_no_event_is_of_the_future(database: Database, connection: asyncpg.Connection) -> None:
    """An instant each does not run ahead of the clock: what is published next is later."""
    async with database.transaction() as transaction:
        await publish_all(transaction, [renewed() for _ in range(500)])
        in_the_past = await transaction.connection.fetchval(
            "SELECT max(created_at) < clock_timestamp() FROM outbox"
        )

    assert in_the_past


async def test_writers_in_turn_keep_their_order(database: Database, connection: asyncpg.Connection) -> None:
    """Of two that change one aggregate, the one that got its row first is first, though it began second."""
    await connection.execute("CREATE TABLE account (id integer PRIMARY KEY); INSERT INTO account VALUES (1)")
    first, second = renewed(), renewed()
    has_begun = asyncio.Event()
    may_go_on = asyncio.Event()

    async def begin_first_and_come_second() -> None:
        async with database.transaction() as transaction:
            await transaction.connection.fetchval("SELECT now()")
            has_begun.set()
            await may_go_on.wait()
            await transaction.connection.execute("SELECT FROM account FOR UPDATE")
            await publish(transaction, second)

    slow = asyncio.create_task(begin_first_and_come_second())
    await has_begun.wait()
    async with database.transaction() as transaction:
        await transaction.connection.execute("SELECT FROM account FOR UPDATE")
        may_go_on.set()
        await publish(transaction, first)
    await slow

    assert [first.id, second.id] == await stored(connection)
    await connection.execute("DROP TABLE account")


async def test_concurrent_writers_of_an_aggregate(database: Database, connection: asyncpg.Connection) -> None:
    """Twenty writers in one row's queue: the outbox's order is the order in which each changed the row."""
    await connection.execute("CREATE TABLE account (v integer); INSERT INTO account VALUES (0)")

    async def write() -> None:
        async with database.transaction() as transaction:
            version = await transaction.connection.fetchval("UPDATE account SET v = v + 1 RETURNING v")
            await publish_all(transaction, [renewed(version * 10), renewed(version * 10 + 1)])

    await asyncio.gather(*(write() for _ in range(20)))

    rows = await connection.fetch("SELECT (payload->>'months')::int FROM outbox ORDER BY created_at, id")
    assert [v * 10 + part for v in range(1, 21) for part in (0, 1)] == [row[0] for row in rows]
    await connection.execute("DROP TABLE account")
