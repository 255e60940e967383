"""An entry is read as the event it tells, or refused with the field that is not as it must be."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

import pytest

from sherpa.events.entry import decode
from sherpa.events.errors import UnreadableEventError
from sherpa.events.event import Payload, Received

ID = "01935a6e-0000-7000-8000-000000000001"
AGGREGATE = "01935a6e-0000-7000-8000-000000000002"
CAUSE = "01935a6e-0000-7000-8000-000000000003"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class CreatedFirst(Payload, frozen=True, kw_only=True):
    """The first version of a payload."""

    event_type: ClassVar[str] = "membership.created"
    aggregate_type: ClassVar[str] = "membership"
    name: str


class Created(Payload, frozen=True, kw_only=True):
    """The third one: the second was never published."""

    event_type: ClassVar[str] = "membership.created"
    aggregate_type: ClassVar[str] = "membership"
    schema_version: ClassVar[int] = 3
    tier: str = "free"


class Expired(Payload, frozen=True, kw_only=True):
    """An event of another type."""

    event_type: ClassVar[str] = "membership.expired"
    aggregate_type: ClassVar[str] = "membership"


TYPES = (Expired, Created, CreatedFirst)

ENTRY: Mapping[str, str] = {
    "id": ID,
    "type": "membership.created",
    "aggregate_type": "membership",
    "aggregate_id": AGGREGATE,
    "occurred_at": "2026-11-23T09:30:00.000001Z",
    "schema_version": "3",
    "payload": '{"tier": "monthly"}',
}

BROKEN = {
    "no id": ({"id": None}, "its field 'id' is missing"),
    "no type": ({"type": None}, "its field 'type' is missing"),
    "no aggregate type": ({"aggregate_type": None}, "its field 'aggregate_type' is missing"),
    "no aggregate": ({"aggregate_id": None}, "its field 'aggregate_id' is missing"),
    "no time": ({"occurred_at": None}, "its field 'occurred_at' is missing"),
    "no version": ({"schema_version": None}, "its field 'schema_version' is missing"),
    "no payload": ({"payload": None}, "its field 'payload' is missing"),
    "id is none": ({"id": "7"}, "its id can't be read: '7': badly formed"),
    "aggregate is none": ({"aggregate_id": ""}, "its aggregate_id can't be read: '': badly formed"),
    "correlation is none": ({"correlation_id": "x"}, "its correlation_id can't be read: 'x'"),
    "causation is none": ({"causation_id": "x"}, "its causation_id can't be read: 'x'"),
    "long nonsense": ({"id": "x" * 10_000}, r"its id can't be read: 'x{79}…: badly formed"),
    "time is none": ({"occurred_at": "soon"}, "its occurred_at can't be read: 'soon'"),
    "time without offset": ({"occurred_at": "2026-11-23T09:30:00"}, "it has no offset from UTC"),
    "time too late": ({"occurred_at": "9999-12-31T23:59:59-10:00"}, "its occurred_at can't be read"),
    "version is a fraction": ({"schema_version": "1.5"}, "its schema_version .*'1.5': no whole number"),
    "version has a sign": ({"schema_version": "-1"}, "its schema_version .*: no whole number"),
    "version is a superscript": ({"schema_version": "²"}, "its schema_version .*: no whole number"),
    "version too long": ({"schema_version": "9" * 5000}, "its schema_version can't be read"),
    "newer version": (
        {"schema_version": "4"},
        "its schema_version is 4; this code knows 'membership.created' up to 3: run a newer release",
    ),
    "unknown type": ({"type": "order.sent"}, "its type is 'order.sent', for which no payload class was"),
    "other aggregate": (
        {"aggregate_type": "order"},
        "its aggregate_type is 'order'; that of 'membership.created' is 'membership'",
    ),
    "payload is no JSON": ({"payload": "{tier"}, "its payload is no Created: JSON is malformed"),
    "payload is empty": ({"payload": ""}, "its payload is no Created: Input data was truncated"),
    "payload is a list": ({"payload": "[]"}, "its payload is no Created: Expected `object`, got `array`"),
    "payload is of another type": (
        {"payload": '{"tier": 5}'},
        r"its payload is no Created: Expected `str`, got `int` - at `\$.tier`",
    ),
    "payload lacks a field": (
        {"schema_version": "1"},
        "its payload is no CreatedFirst: Object missing required field `name`",
    ),
    "payload is too deep": (
        {"payload": '{"more": ' + "[" * 50_000 + "]" * 50_000 + "}"},
        "its payload is no Created: .*recursion",
    ),
    "payload is half a pair": ({"payload": '{"tier": "\ud800"}'}, "its payload is no Created: .*surrogates"),
}


def changed(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the entry with these fields, without those that are None."""
    return {name: text for name, text in {**ENTRY, **values}.items() if text is not None}


def test_all_fields_are_read() -> None:
    """An entry with everything in it is the event with everything in it."""
    entry = {
        **ENTRY,
        "correlation_id": AGGREGATE,
        "causation_id": CAUSE,
        "traceparent": TRACE,
        "tracestate": "a=1",
    }

    event = decode(entry, TYPES)

    expected = Received(
        id=UUID(ID),
        aggregate_id=UUID(AGGREGATE),
        payload=Created(tier="monthly"),
        occurred_at=datetime(2026, 11, 23, 9, 30, 0, 1, tzinfo=UTC),
        schema_version=3,
        correlation_id=UUID(AGGREGATE),
        causation_id=UUID(CAUSE),
        traceparent=TRACE,
        tracestate="a=1",
    )
    assert expected == event


def test_what_is_not_set_is_none() -> None:
    """The four fields that an entry may lack are None."""
    event = decode(ENTRY, TYPES)

    assert (None, None, None, None) == (
        event.correlation_id,
        event.causation_id,
        event.traceparent,
        event.tracestate,
    )


def test_unknown_fields_are_ignored() -> None:
    """What a later release adds to an entry, or to a payload, does not stop an earlier one."""
    later = {**ENTRY, "shard": "7", "payload": '{"tier": "monthly", "colour": "red"}'}

    assert decode(ENTRY, TYPES) == decode(later, TYPES)


def test_time_of_another_zone_is_utc() -> None:
    """An offset is as good as Z, and the handler gets UTC."""
    event = decode({**ENTRY, "occurred_at": "2026-11-23T10:30:00+01:00"}, TYPES)

    assert datetime(2026, 11, 23, 9, 30, tzinfo=UTC) == event.occurred_at
    assert UTC is event.occurred_at.tzinfo


@pytest.mark.parametrize(
    ("version", "payload", "kind"),
    [(1, '{"name": "a"}', CreatedFirst), (2, "{}", Created), (3, "{}", Created)],
)
def test_version_chooses_the_class(version: int, payload: str, kind: type[Payload]) -> None:
    """The class is that of the entry's version, or the next one that can read it."""
    event = decode({**ENTRY, "schema_version": str(version), "payload": payload}, TYPES)

    assert (kind, version) == (type(event.payload), event.schema_version)


@pytest.mark.parametrize(("values", "reason"), BROKEN.values(), ids=BROKEN)
def test_broken_entry_is_refused(values: Mapping[str, str | None], reason: str) -> None:
    """What can't be read is said, with the field and the reason, and never a traceback of a library."""
    with pytest.raises(UnreadableEventError, match=reason):
        decode(changed(values), TYPES)
