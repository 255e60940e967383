"""Publishing: an event is written to the outbox by the transaction that makes it true, or not at all.

What is refused here, by InvalidEventError, is refused before anything is sent: the transaction can go on.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.db.postgres import PooledEngine
from sherpa.db.transaction import Transaction
from sherpa.events.entry import decoder
from sherpa.events.errors import InvalidEventError
from sherpa.events.event import Event, Payload
from sherpa.events.wakeup import Wakeup

# Each event is a microsecond later than the one before, so that call order is the outbox's order. Inserting a
# row takes longer than that: whatever the transaction publishes next is later still.
_INSERT: Final = """
INSERT INTO outbox (
    id, aggregate_type, aggregate_id, event_type, payload, schema_version,
    correlation_id, causation_id, traceparent, tracestate, created_at
)
SELECT
    id, aggregate_type, aggregate_id, event_type, payload, schema_version,
    correlation_id, causation_id, traceparent, tracestate,
    (SELECT clock_timestamp()) + place * interval '1 microsecond'
FROM unnest(
    $1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::jsonb[], $6::integer[],
    $7::uuid[], $8::uuid[], $9::text[], $10::text[]
) WITH ORDINALITY AS event (
    id, aggregate_type, aggregate_id, event_type, payload, schema_version,
    correlation_id, causation_id, traceparent, tracestate, place
)
ORDER BY place
"""

_LONGEST_NAME: Final = 100
_HIGHEST_VERSION: Final = 2**31 - 1
# NUL as JSON writes it, which PostgreSQL can't keep; after another backslash it is plain text.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}")

_encode: Final = msgspec.json.Encoder().encode


class _Limit:
    """What one Database's payloads are bounded by: as by default, unless `limit_payloads` said otherwise."""

    def __init__(self, _: PooledEngine) -> None:
        self.payload_bytes = EventsSettings().payload_bytes

    async def close(self) -> None:
        """Do nothing: there is nothing to end."""


def limit_payloads(database: Database, payload_bytes: int) -> None:
    """Bound the payloads that this database's transactions publish, until it is closed.

    A process does it once, where it opens the database, with EVENTS_PAYLOAD_BYTES.
    """
    database.engine.companion(_Limit).payload_bytes = payload_bytes


async def publish(transaction: Transaction, event: Event[Any]) -> None:
    """Write the event to the outbox in this transaction; once that commits, the relay is woken.

    Raises InvalidEventError, which leaves the transaction as it was; OutboxEventExistsError for an id that
    is there already.
    """
    await publish_all(transaction, (event,))


async def publish_all(transaction: Transaction, events: Sequence[Event[Any]]) -> None:
    """Write the events to the outbox in this order, all of them or none; otherwise as `publish`."""
    if not events:
        return
    limit = transaction.engine.companion(_Limit).payload_bytes
    rows = [_row(event, limit) for event in events]
    await transaction.connection.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))
    transaction.after_commit(transaction.engine.companion(Wakeup).ring)


def _row(event: Event[Any], payload_bytes: int) -> tuple[object, ...]:
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
        if len(encoded) <= payload_bytes:
            decoder(type(payload)).decode(encoded)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            f"The payload {name} can't be written as its class declares it: {error}."
        ) from error
    if len(encoded) > payload_bytes:
        raise InvalidEventError(
            f"The payload {name} has {len(encoded)} bytes as JSON, and may have {payload_bytes}:"
            " publish less, or a reference to what is kept elsewhere."
        )
    if b"\\u0000" in encoded and _NUL.search(encoded):
        raise InvalidEventError(f"The payload {name} contains NUL, which PostgreSQL's JSON can't hold.")
    return encoded.decode()
