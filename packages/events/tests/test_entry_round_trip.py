"""Whatever is published comes to a handler as it was, through PostgreSQL's JSON and the entry's texts."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sherpa.db.engine import Database
from sherpa.events.entry import COLUMNS, FIELDS, decode, fields_of
from sherpa.events.errors import UnreadableEventError
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import publish, publish_all

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SELECT = f"SELECT {COLUMNS} FROM outbox ORDER BY created_at, outbox.id"


class Anything(Payload, frozen=True, kw_only=True):
    """A payload of whatever JSON can say."""

    event_type: ClassVar[str] = "any.thing"
    aggregate_type: ClassVar[str] = "anything"
    value: Any
    text: str = ""
    number: float = 0.0
    moment: datetime | None = None


# NUL and halves of surrogate pairs are refused when they are published: test_invalid_events.py.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
# JSON has one kind of number: only a field that is declared as float gets back 1e16 as that.
NUMBERS = st.integers() | st.floats(-1e15, 1e15)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
PAYLOADS = st.builds(
    Anything,
    value=JSON,
    text=TEXTS,
    number=st.floats(allow_nan=False, allow_infinity=False),
    moment=st.none() | st.datetimes(timezones=st.just(UTC)),
)
EVENTS = st.builds(
    Event,
    id=st.uuids(version=4),
    aggregate_id=st.uuids(),
    payload=PAYLOADS,
    correlation_id=st.none() | st.uuids(),
    causation_id=st.none() | st.uuids(),
    traceparent=st.none() | st.just(TRACE),
    tracestate=st.none()
    | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=512),
)


def facts(event: Event[Any]) -> tuple[object, ...]:
    """Return what was said of the event by whoever published it."""
    return (
        event.id,
        event.aggregate_id,
        event.payload,
        event.correlation_id,
        event.causation_id,
        event.traceparent,
        event.tracestate,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=10, unique_by=lambda event: event.id))
async def test_every_event_comes_back(
    events: list[Event[Anything]], database: Database, connection: asyncpg.Connection
) -> None:
    """Any payload, any text, any optional field: what is decoded equals what was published, in its order."""
    await connection.execute("TRUNCATE outbox")
    async with database.transaction() as transaction:
        await publish_all(transaction, events)

    entries = [fields_of(row) for row in await connection.fetch(SELECT)]

    assert [facts(event) for event in events] == [facts(decode(entry, [Anything])) for entry in entries]


async def test_entry_is_the_contract(database: Database, connection: asyncpg.Connection) -> None:
    """The fields have their names, order and forms; the four that are not set are not there."""
    event = Event(
        id=UUID("01935a6e-0000-7000-8000-000000000001"),
        aggregate_id=UUID("01935a6e-0000-7000-8000-000000000002"),
        payload=Anything(value=1),
    )
    async with database.transaction() as transaction:
        await publish(transaction, event)
    await connection.execute("UPDATE outbox SET created_at = '2026-11-23 10:30:00.00012+01'")

    (row,) = await connection.fetch(SELECT)

    expected = {
        "id": "01935a6e-0000-7000-8000-000000000001",
        "type": "any.thing",
        "aggregate_type": "anything",
        "aggregate_id": "01935a6e-0000-7000-8000-000000000002",
        "occurred_at": "2026-11-23T09:30:00.000120Z",
        "schema_version": "1",
        "payload": '{"text": "", "value": 1, "moment": null, "number": 0.0}',
    }
    assert list(expected.items()) == list(fields_of(row).items())


async def test_entry_has_all_fields_when_all_are_set(
    database: Database, connection: asyncpg.Connection
) -> None:
    """An event with everything in it has every field of the contract, and no other."""
    event = Event(
        aggregate_id=uuid4(),
        payload=Anything(value=None),
        correlation_id=uuid4(),
        causation_id=uuid4(),
        traceparent=TRACE,
        tracestate="a=1",
    )
    async with database.transaction() as transaction:
        await publish(transaction, event)

    (row,) = await connection.fetch(SELECT)

    assert list(FIELDS) == list(fields_of(row))


async def test_time_does_not_depend_on_the_session(
    database: Database, connection: asyncpg.Connection
) -> None:
    """A session in another time zone and with other habits of writing dates gives the same text."""
    async with database.transaction() as transaction:
        await publish(transaction, Event(aggregate_id=uuid4(), payload=Anything(value=None)))
    (before,) = await connection.fetch(SELECT)

    await connection.execute("SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'")

    assert [before] == await connection.fetch(SELECT)


async def test_row_of_other_hands_is_read_or_refused(connection: asyncpg.Connection) -> None:
    """A row that no publisher wrote, with a payload of any JSON, is an entry: only reading it is refused."""
    await connection.execute(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)"
        " VALUES ('anything', gen_random_uuid(), 'any.thing', '[1, 2]')"
    )
    (row,) = await connection.fetch(SELECT)

    with pytest.raises(UnreadableEventError, match="Expected `object`, got `array`"):
        decode(fields_of(row), [Anything])
