"""The tables as Piccolo classes: what the code says the schema is; the migrations make it so.

`TABLES` lists them all, those that others refer to first.
"""

from piccolo.table import Table

from sherpa.db.tables.failed_events import FailedEvents, FailureStatus
from sherpa.db.tables.memberships import BillingHistory, Memberships, MembershipStatus, Tier
from sherpa.db.tables.outbox import Outbox
from sherpa.db.tables.processed_events import ProcessedEvents

TABLES: tuple[type[Table], ...] = (Outbox, ProcessedEvents, FailedEvents, Memberships, BillingHistory)

__all__ = [
    "TABLES",
    "BillingHistory",
    "FailedEvents",
    "FailureStatus",
    "MembershipStatus",
    "Memberships",
    "Outbox",
    "ProcessedEvents",
    "Tier",
]
