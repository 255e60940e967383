"""Autovacuum comes to the tables of events by what has changed, and not by how much they keep.

Why: every event leaves one dead row in the outbox when it is marked as published. By default autovacuum comes
when a fifth of the table is dead: beside ten million published events that is two million, which the relay's
index then leads past. What has been vacuumed needs no reading: beside 11 million rows it takes 0.1 s after
100,000 events, and 2 s after 860,000.

Locks: SHARE UPDATE EXCLUSIVE on both tables for an instant, beside which everybody reads and writes.

Old and new code: neither names it.

Way back: the server's own settings again.
"""

from sherpa.db.migrations.migration import Migration

ID = "008_event_vacuum"
VERSION = "1.38.0"
DESCRIPTION = "outbox, processed_events: autovacuum after 2000 changes"

FORWARDS = """
-- The number alone counts, and no share of the table; without a pause, for there is little to do each time.
-- No fillfactor: marking takes a row out of an index, which no room in the page makes cheaper (measured).
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);

-- Rows come here to stay, and go by thousands when their time is over.
ALTER TABLE processed_events SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
"""

BACKWARDS = """
ALTER TABLE processed_events RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_cost_delay
);
ALTER TABLE outbox RESET (
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_vacuum_cost_delay
);
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
