"""A stream's entry, the contract with consumers in every language: from a row of the outbox, to an event.

All values are text. `docs/events.md` describes the fields; an unknown one is for somebody else.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from sherpa.events.errors import UnreadableEventError
from sherpa.events.event import Payload, Received

FIELDS: Final[Mapping[str, str]] = {
    "id": "id::text",
    "type": "event_type",
    "aggregate_type": "aggregate_type",
    "aggregate_id": "aggregate_id::text",
    "occurred_at": """to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
    "schema_version": "schema_version::text",
    "payload": "payload::text",  # the database's JSON, never decoded on the way
    "correlation_id": "correlation_id::text",
    "causation_id": "causation_id::text",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
"""An entry's fields, in their order, and what they are of a row of the outbox."""

COLUMNS: Final = ", ".join(f"{column} AS {field}" for field, column in FIELDS.items())
"""What to SELECT from the outbox: a row of exactly this is what `fields_of` takes."""

type _Versions = Mapping[str, tuple[type[Payload], ...]]


def fields_of(row: asyncpg.Record) -> dict[str, str]:
    """Return the entry of a row that was selected by COLUMNS; what is not set has no field."""
    return {field: text for field, text in row.items() if text is not None}


def decode(fields: Mapping[str, str], payload_types: Iterable[type[Payload]]) -> Received[Payload]:
    """Return the event that an entry tells, its payload of the class among these that its type names.

    Of several classes for a type it is the one with the entry's schema version, or else the next higher.
    Raises UnreadableEventError, whose message says which field is not as it must be, and why.
    """
    payload_type = _choose(fields, _by_type(tuple(payload_types)))
    return Received(
        id=_required(fields, "id", UUID),
        aggregate_id=_required(fields, "aggregate_id", UUID),
        occurred_at=_required(fields, "occurred_at", _instant),
        schema_version=_required(fields, "schema_version", _version),
        payload=_payload(fields, payload_type),
        correlation_id=_optional(fields, "correlation_id", UUID),
        causation_id=_optional(fields, "causation_id", UUID),
        traceparent=fields.get("traceparent"),
        tracestate=fields.get("tracestate"),
    )


@lru_cache(maxsize=1024)
def decoder(payload_type: type[Payload]) -> msgspec.json.Decoder[Payload]:
    """Return the decoder of a payload's JSON; it refuses what the class's fields don't permit."""
    return msgspec.json.Decoder(payload_type)


@lru_cache(maxsize=1024)
def _by_type(payload_types: tuple[type[Payload], ...]) -> _Versions:
    types = {kind.event_type for kind in payload_types}
    return {
        name: tuple(
            sorted(
                (kind for kind in payload_types if kind.event_type == name),
                key=lambda kind: kind.schema_version,
            )
        )
        for name in types
    }


def _choose(fields: Mapping[str, str], types: _Versions) -> type[Payload]:
    name = _required(fields, "type", str)
    version = _required(fields, "schema_version", _version)
    known = types.get(name, ())
    for kind in known:
        if kind.schema_version >= version:
            aggregate_type = _required(fields, "aggregate_type", str)
            if aggregate_type != kind.aggregate_type:
                raise UnreadableEventError(
                    f"its aggregate_type is {aggregate_type!r}; that of {name!r} is {kind.aggregate_type!r}"
                )
            return kind
    if known:
        raise UnreadableEventError(
            f"its schema_version is {version}; this code knows {name!r} up to {known[-1].schema_version}:"
            " run a newer release"
        )
    raise UnreadableEventError(f"its type is {name!r}, for which no payload class was given")


def _required[T](fields: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T:
    try:
        text = fields[name]
    except KeyError:
        raise UnreadableEventError(f"its field {name!r} is missing") from None
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:
        raise UnreadableEventError(f"its {name} can't be read: {_shown(text)}: {error}") from error


def _optional[T](fields: Mapping[str, str], name: str, parse: Callable[[str], T]) -> T | None:
    return _required(fields, name, parse) if name in fields else None


def _payload(fields: Mapping[str, str], payload_type: type[Payload]) -> Payload:
    text = _required(fields, "payload", str)
    try:
        return decoder(payload_type).decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableEventError(f"its payload is no {payload_type.__name__}: {error}") from error


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("it has no offset from UTC")
    return instant.astimezone(UTC)


def _version(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("no whole number")
    return int(text)


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
