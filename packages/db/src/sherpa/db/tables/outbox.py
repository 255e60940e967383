"""The outbox: events written by the transaction that made them true, waiting to be published."""

from collections.abc import Mapping
from typing import ClassVar

from piccolo.columns import JSONB, UUID, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.uuid import UUID4
from piccolo.table import Table

from sherpa.db.tables.schema import VACUUM_BY_CHANGES, ServerNow


class Outbox(Table, tablename="outbox"):
    """One event of one aggregate; `processed_at` stays empty until it is published."""

    id = UUID(primary_key=True, default=UUID4())
    aggregate_type = Varchar(length=100, default=None)
    aggregate_id = UUID(default=None)
    event_type = Varchar(length=100, default=None)
    payload = JSONB(default=None)
    created_at = Timestamptz(default=ServerNow())
    processed_at = Timestamptz(null=True, default=None)
    schema_version = Integer(default=1)
    correlation_id = UUID(null=True, default=None)
    causation_id = UUID(null=True, default=None)
    traceparent = Text(null=True, default=None)
    tracestate = Text(null=True, default=None)

    storage: ClassVar[Mapping[str, int]] = VACUUM_BY_CHANGES
    ddl_indexes: ClassVar[tuple[str, ...]] = (
        "CREATE INDEX idx_outbox_unprocessed ON outbox (created_at) WHERE processed_at IS NULL",
        "CREATE INDEX idx_outbox_published ON outbox (processed_at) WHERE processed_at IS NOT NULL",
    )
