"""What can't be published is refused before it reaches the database, in words that say what to correct."""

import math
from dataclasses import replace
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.events.errors import InvalidEventError
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import limit_payloads, publish, publish_all


class Noted(Payload, frozen=True, kw_only=True):
    """A payload of any text, and of anything."""

    event_type: ClassVar[str] = "note.written"
    aggregate_type: ClassVar[str] = "note"
    text: str = ""
    number: int = 0
    more: Any = None
    share: float | None = None


def noted(**values: Any) -> Event[Noted]:
    """Return an event with these values, whether they are of the right type or not."""
    return Event(aggregate_id=uuid4(), payload=Noted(**values))


def payload_type(**attributes: object) -> type[Payload]:
    """Return a class of payloads with these class attributes."""
    names = {"event_type": "note.written", "aggregate_type": "note", **attributes}
    return type("Made", (Payload,), {"__annotations__": dict.fromkeys(names, ClassVar[object]), **names})


def nested(depth: int) -> list[Any]:
    """Return a list in a list, so many deep."""
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


PAYLOADS = {
    "wrong type": ({"number": "two"}, r"Noted can't be written.*Expected `int`, got `str` - at `\$.number`"),
    "NUL": ({"text": "a\0b"}, "Noted contains NUL"),
    "NUL, deep": ({"more": [{"a": "\0"}]}, "Noted contains NUL"),
    "NUL in a key": ({"more": {"\0": 1}}, "Noted contains NUL"),
    "NUL after a backslash": ({"text": "\\\0"}, "Noted contains NUL"),
    "half a surrogate pair": ({"text": "\ud800"}, "Noted can't be written.*surrogates not allowed"),
    "no JSON": ({"more": object()}, "Noted can't be written.*unsupported"),
    "too deep": ({"more": nested(40_000)}, "Noted can't be written.*recursion"),
    "infinity": ({"share": math.inf}, "Noted can't be written.*not JSON compliant: inf"),
    "no number, deep": ({"more": [{"a": math.nan}]}, "Noted can't be written.*not JSON compliant: nan"),
    "raw text that is no UTF-8": ({"more": msgspec.Raw(b'"\xff"')}, "Noted can't be written.*utf-8"),
    "raw text that is no JSON": ({"more": msgspec.Raw(b"{]")}, "Noted can't be written.*malformed"),
    "too large": ({"text": "x" * 70_000}, "Noted has 70[0-9]{3} bytes as JSON, and may have 65536"),
    "too large in bytes": ({"text": "é" * 40_000}, "Noted has 80[0-9]{3} bytes as JSON, and may have 65536"),
}

CLASSES = {
    "type with half a pair": ({"event_type": "\ud800"}, "Made.event_type must be 1 to 100 printable"),
    "no type": ({"event_type": ""}, r"Made.event_type must be 1 to 100 .*it is ''"),
    "long type": ({"event_type": "x" * 101}, "Made.event_type must be 1 to 100"),
    "type with NUL": ({"event_type": "a\0"}, "Made.event_type must be 1 to 100 printable"),
    "type is no text": ({"event_type": 5}, "Made.event_type must be 1 to 100 .*it is 5"),
    "no aggregate": ({"aggregate_type": ""}, "Made.aggregate_type must be 1 to 100"),
    "long aggregate": ({"aggregate_type": "x" * 101}, "Made.aggregate_type must be 1 to 100"),
    "version 0": ({"schema_version": 0}, "Made.schema_version must be a number from 1 on; it is 0"),
    "version too high": ({"schema_version": 2**31}, "Made.schema_version must be"),
    "version is no number": ({"schema_version": "1"}, "Made.schema_version must be .*it is '1'"),
}

FIELDS = {
    "id is text": ({"id": str(uuid4())}, "event's id must be a UUID"),
    "no aggregate id": ({"aggregate_id": None}, "event's aggregate_id must be a UUID; it is None"),
    "correlation is text": ({"correlation_id": "x"}, "event's correlation_id must be a UUID"),
    "causation is text": ({"causation_id": "x"}, "event's causation_id must be a UUID"),
    "payload is a dict": ({"payload": {"text": "x"}}, "A payload is of a subclass of Payload; .* dict"),
    "trace of zeros": ({"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}, "traceparent must be as W3C"),
    "trace in capitals": ({"traceparent": f"00-{'A' * 32}-{'1' * 16}-01"}, "traceparent must be as W3C"),
    "trace version ff": ({"traceparent": f"ff-{'a' * 32}-{'1' * 16}-01"}, "traceparent must be as W3C"),
    "trace with a line": ({"traceparent": f"00-{'a' * 32}-{'1' * 16}-01\n"}, "traceparent must be as W3C"),
    "trace is bytes": ({"traceparent": b"00-"}, "traceparent must be as W3C"),
    "state is a number": ({"tracestate": 7}, "tracestate must be 1 to 512"),
    "state too long": ({"tracestate": "x" * 513}, "tracestate must be 1 to 512"),
    "state empty": ({"tracestate": ""}, "tracestate must be 1 to 512"),
    "state with NUL": ({"tracestate": "a\0"}, "tracestate must be 1 to 512"),
}


@pytest.mark.parametrize(("values", "reason"), PAYLOADS.values(), ids=PAYLOADS)
async def test_payload_is_refused(database: Database, values: dict[str, Any], reason: str) -> None:
    """A payload that would not be stored, or not be read again, is named with its fault."""
    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError, match=reason):
            await publish(transaction, noted(**values))


@pytest.mark.parametrize(("attributes", "reason"), CLASSES.values(), ids=CLASSES)
async def test_class_is_refused(database: Database, attributes: dict[str, object], reason: str) -> None:
    """A payload's class with a name or version that the table has no room for is named."""
    event = Event(aggregate_id=uuid4(), payload=payload_type(**attributes)())

    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError, match=reason):
            await publish(transaction, event)


@pytest.mark.parametrize(("fields", "reason"), FIELDS.values(), ids=FIELDS)
async def test_field_is_refused(database: Database, fields: dict[str, Any], reason: str) -> None:
    """A field of the event that is not what it is declared as is named."""
    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError, match=reason):
            await publish(transaction, replace(noted(), **fields))


async def test_array_is_refused(database: Database) -> None:
    """The contract has objects: a payload that would be written as an array is none."""

    class Listed(Payload, frozen=True, kw_only=True, array_like=True):
        event_type: ClassVar[str] = "note.listed"
        aggregate_type: ClassVar[str] = "note"

    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError, match="Listed must be a JSON object"):
            await publish(transaction, Event(aggregate_id=uuid4(), payload=Listed()))


async def test_payload_alone_is_refused(database: Database) -> None:
    """Whoever forgets the event around a payload is told so."""
    anything: Any = Noted()

    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError, match="Only an Event can be published; this one is Noted"):
            await publish(transaction, anything)


async def test_null_beside_what_json_writes_otherwise(
    database: Database, connection: asyncpg.Connection
) -> None:
    """What is read back as another type than it had, a tuple as a list, is no fault."""
    async with database.transaction() as transaction:
        await publish(transaction, noted(more=(1, None, msgspec.Raw(b"null"))))

    assert "[1, null, null]" == await connection.fetchval("SELECT payload->>'more' FROM outbox")


async def test_longest_names_and_payload_fit(database: Database, connection: asyncpg.Connection) -> None:
    """What is just within the bounds is stored."""
    made = payload_type(event_type="é" * 100, aggregate_type="x" * 100, schema_version=2**31 - 1)
    overhead = len(msgspec.json.encode(Noted()))

    async with database.transaction() as transaction:
        await publish(transaction, Event(aggregate_id=uuid4(), payload=made()))
        await publish(transaction, noted(text="x" * (EventsSettings().payload_bytes - overhead)))

    assert 2 == await connection.fetchval("SELECT count(*) FROM outbox")


async def test_word_for_nul_is_no_nul(database: Database, connection: asyncpg.Connection) -> None:
    r"""A backslash and the letters u0000 are a text like any other."""
    text = r"\u0000 and \\u0000"

    async with database.transaction() as transaction:
        await publish(transaction, noted(text=text))

    assert text == await connection.fetchval("SELECT payload->>'text' FROM outbox")


async def test_refusal_leaves_the_transaction_open(
    database: Database, connection: asyncpg.Connection
) -> None:
    """One bad event of many sends nothing, and the caller may go on as if it had not tried."""
    good = noted()
    async with database.transaction() as transaction:
        with pytest.raises(InvalidEventError):
            await publish_all(transaction, [noted(), noted(text="\0"), noted()])
        await publish(transaction, good)

    assert [good.id] == [row["id"] for row in await connection.fetch("SELECT id FROM outbox")]


async def test_limit_is_the_databases_own(database: Database, connection: asyncpg.Connection) -> None:
    """A process sets the bound once, where it opens the database; it holds for all that is published."""
    limit_payloads(database, 200)

    async with database.transaction() as transaction:
        await publish(transaction, noted(text="x" * 100))
        with pytest.raises(InvalidEventError, match="may have 200: publish less"):
            await publish(transaction, noted(text="x" * 200))

    assert 1 == await connection.fetchval("SELECT count(*) FROM outbox")
