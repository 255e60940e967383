"""What happened, as the domain says it: a typed payload and the aggregate that it happened to."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one type of event. A subclass names the type and the kind of aggregate it belongs to.

    `schema_version` rises when old consumers could not read the new fields; adding an optional one doesn't.
    """

    event_type: ClassVar[str]
    aggregate_type: ClassVar[str]
    schema_version: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event[P: Payload]:
    """An event to publish. `id` is a UUIDv7, which rises within a process.

    `traceparent` and `tracestate` are W3C Trace Context, as in the headers of those names.
    """

    aggregate_id: UUID
    payload: P
    id: UUID = field(default_factory=uuid7)
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received[P: Payload](Event[P]):
    """An event as a handler gets it. `occurred_at` is the database's clock, in UTC."""

    occurred_at: datetime
    schema_version: int = 1
