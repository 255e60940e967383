"""What handlers could not do: to be tried again, waiting behind one that is, or dead."""

from enum import StrEnum
from typing import ClassVar

from piccolo.columns import JSONB, UUID, Integer, Text, Timestamptz, Varchar
from piccolo.table import Table

from sherpa.db.tables.schema import Identity, KeyOfSeveral, one_of


class FailureStatus(StrEnum):
    """What becomes of a failed event next."""

    RETRYING = "retrying"  # runs again at next_attempt_at
    WAITING = "waiting"  # an earlier event of its aggregate comes first
    DEAD = "dead"  # runs no more until an operator says so


class FailedEvents(KeyOfSeveral, Table, tablename="failed_events"):
    """One event that one handler has still to do, with all that is needed to run it again."""

    key_columns: ClassVar[tuple[str, ...]] = ("event_id", "handler_name")

    event_id = UUID(primary_key=True, default=None)
    handler_name = Varchar(length=100, default=None)
    aggregate_id = UUID(null=True, default=None)
    event_type = Varchar(length=100, null=True, default=None)
    entry = JSONB(default=None)
    status = Varchar(length=20, default=None, choices=FailureStatus)
    attempts = Integer(default=0)
    deaths = Integer(default=0)
    error = Text(null=True, default=None)
    traceback = Text(null=True, default=None)
    position = Identity()
    next_attempt_at = Timestamptz(null=True, default=None)
    first_failed_at = Timestamptz(null=True, default=None)
    last_failed_at = Timestamptz(null=True, default=None)

    failed_events_status_check = one_of("status", FailureStatus, name="failed_events_status_check")

    ddl_indexes: ClassVar[tuple[str, ...]] = (
        (
            "CREATE INDEX idx_failed_events_due ON failed_events (handler_name, next_attempt_at) "
            "WHERE status = 'retrying'"
        ),
        ("CREATE INDEX idx_failed_events_aggregate ON failed_events (handler_name, aggregate_id, position)"),
    )
