"""What an event says of itself: the version of its payload, what it belongs to and followed from, its trace.

Why: consumers outlive the code that wrote an event, so it names the version of its payload; and whoever
follows a request through the system needs the ids that lead from one event to the next.

Locks: ACCESS EXCLUSIVE on outbox for an instant. Nothing is read or written anew: PostgreSQL keeps a constant
default for the rows that are there, and the other columns are empty.

Old and new code: old code names the columns it writes, and gets version 1. New code needs the columns.

Way back: drops the columns with what they hold. Published entries keep it; rows that still wait lose it.
"""

from sherpa.db.migrations.migration import Migration

ID = "006_event_context"
VERSION = "1.38.0"
DESCRIPTION = "outbox: schema version, correlation, causation, trace context"

FORWARDS = """
ALTER TABLE outbox
    -- squawk-ignore prefer-bigint-over-int -- a version rises by hand
    ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 1,
    -- The work that the event is part of, and the event or command that it followed from.
    ADD COLUMN correlation_id UUID,
    ADD COLUMN causation_id UUID,
    -- W3C Trace Context, as in the headers of these names; their grammar is checked where they are written.
    ADD COLUMN traceparent TEXT,
    ADD COLUMN tracestate TEXT;
"""

BACKWARDS = """
ALTER TABLE outbox
    DROP COLUMN tracestate,
    DROP COLUMN traceparent,
    DROP COLUMN causation_id,
    DROP COLUMN correlation_id,
    DROP COLUMN schema_version;
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
