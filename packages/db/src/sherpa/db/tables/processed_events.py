"""The memory of handled events: whoever finds its row here has nothing left to do."""

from collections.abc import Mapping
from typing import ClassVar

from piccolo.columns import UUID, Timestamptz, Varchar
from piccolo.table import Table

from sherpa.db.tables.schema import VACUUM_BY_CHANGES, KeyOfSeveral, ServerNow


class ProcessedEvents(KeyOfSeveral, Table, tablename="processed_events"):
    """One event that one handler has done: the two together are the key."""

    key_columns: ClassVar[tuple[str, ...]] = ("event_id", "handler_name")

    event_id = UUID(primary_key=True, default=None)
    handler_name = Varchar(length=100, default=None)
    processed_at = Timestamptz(default=ServerNow())

    storage: ClassVar[Mapping[str, int]] = VACUUM_BY_CHANGES
    ddl_indexes: ClassVar[tuple[str, ...]] = (
        "CREATE INDEX idx_processed_events_handler ON processed_events (handler_name, processed_at)",
    )
