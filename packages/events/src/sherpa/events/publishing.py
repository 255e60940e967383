"""Publishing: an event is written to the outbox by the transaction that makes it true, or not at all.

What is refused here, by InvalidEventError, is refused before anything is sent: the transaction can go on.
"""

from collections.abc import Sequence
from itertools import batched
from typing import Any, Final

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.db.postgres import PooledEngine
from sherpa.db.transaction import Transaction
from sherpa.db.translation import translated
from sherpa.events.event import Event
from sherpa.events.row import row_of
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

# PostgreSQL takes no statement of 1 GB, and the driver has three copies of one in memory.
_STATEMENT_BYTES: Final = 64 * 1024 * 1024


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
    rows = [row_of(event, limit) for event in events]
    with translated():
        for part in batched(rows, _STATEMENT_BYTES // limit):
            await transaction.connection.execute(_INSERT, *map(list, zip(*part, strict=True)))
    transaction.after_commit(transaction.engine.companion(Wakeup).ring)
