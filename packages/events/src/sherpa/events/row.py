"""An event as a row of the outbox. What can't be one is refused before anything is sent."""

import json
import re
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from sherpa.events.entry import decoder
from sherpa.events.errors import InvalidEventError
from sherpa.events.event import Event, Payload

_LONGEST_NAME: Final = 100
_HIGHEST_VERSION: Final = 2**31 - 1
# NUL as JSON writes it, which PostgreSQL can't keep; after another backslash it is plain text.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}")

_encode: Final = msgspec.json.Encoder().encode


def row_of(event: Event[Any], payload_bytes: int) -> tuple[object, ...]:
    """Return the columns in the order in which `publish` writes them. Raises InvalidEventError."""
    if not isinstance(event, Event):
        raise InvalidEventError(f"Only an Event can be published; this one is {type(event).__name__}.")
    kind: type[Payload] = type(event.payload)
    _check_class(kind)
    _check_ids(event)
    _check_trace(event)
    return (
        event.id,
        kind.aggregate_type,
        event.aggregate_id,
        kind.event_type,
        _json(event.payload, payload_bytes),
        kind.schema_version,
        event.correlation_id,
        event.causation_id,
        event.traceparent,
        event.tracestate,
    )


@lru_cache(maxsize=1024)
def _check_class(kind: type[object]) -> None:
    if not issubclass(kind, Payload):
        raise InvalidEventError(f"A payload is of a subclass of Payload; this one is {kind.__name__}.")
    if kind.__struct_config__.array_like:
        raise InvalidEventError(f"{kind.__name__} must be a JSON object: declare it without array_like.")
    for name in ("event_type", "aggregate_type"):
        text = getattr(kind, name, None)
        if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_NAME or not text.isprintable():
            raise InvalidEventError(
                f"{kind.__name__}.{name} must be 1 to {_LONGEST_NAME} printable characters; it is {text!r}."
            )
    version: object = kind.schema_version
    if not isinstance(version, int) or not 1 <= version <= _HIGHEST_VERSION:
        raise InvalidEventError(
            f"{kind.__name__}.schema_version must be a number from 1 on; it is {version!r}."
        )


def _check_ids(event: Event[Any]) -> None:
    _check_uuid("id", event.id)
    _check_uuid("aggregate_id", event.aggregate_id)
    if event.correlation_id is not None:
        _check_uuid("correlation_id", event.correlation_id)
    if event.causation_id is not None:
        _check_uuid("causation_id", event.causation_id)


def _check_uuid(name: str, value: object) -> None:
    if not isinstance(value, UUID):
        raise InvalidEventError(f"An event's {name} must be a UUID; it is {value!r}.")


def _check_trace(event: Event[Any]) -> None:
    if event.traceparent is not None and not _is_text(event.traceparent, _TRACEPARENT):
        raise InvalidEventError(
            f"An event's traceparent must be as W3C Trace Context has it; it is {event.traceparent!r}."
        )
    if event.tracestate is not None and not _is_text(event.tracestate, _TRACESTATE):
        raise InvalidEventError("An event's tracestate must be 1 to 512 printable ASCII characters.")


def _is_text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _json(payload: Payload, payload_bytes: int) -> str:
    """Return the payload as JSON that its own class reads again: what is published can be handled."""
    name = type(payload).__name__
    try:
        encoded = _encode(payload)
        _check_size(name, len(encoded), payload_bytes)
        _check_faithful(payload, encoded)
        text = encoded.decode()
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            f"The payload {name} can't be written as its class declares it: {error}."
        ) from error
    if b"\\u0000" in encoded and _NUL.search(encoded):
        raise InvalidEventError(f"The payload {name} contains NUL, which PostgreSQL's JSON can't hold.")
    return text


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise InvalidEventError(
            f"The payload {name} has {size} bytes as JSON, and may have {most}:"
            " publish less, or a reference to what is kept elsewhere."
        )


def _check_faithful(payload: Payload, encoded: bytes) -> None:
    decoded = decoder(type(payload)).decode(encoded)
    # NaN and infinity are written as null, where the class permits that; looking for them takes longer.
    if b"null" in encoded and decoded != payload:
        json.dumps(msgspec.to_builtins(payload, enc_hook=str), allow_nan=False)
