"""The index that becomes the key of processed_events: event and handler together.

Why: the key is the event alone, so the first handler that records an event hides it from all others. This
builds what the new key needs while handlers go on recording; 004_handler_key puts it in the key's place.

Locks: SHARE UPDATE EXCLUSIVE on processed_events, beside which everybody reads and writes. It reads the
table twice and waits for the transactions that are older than itself. No row can be in its way: where the
event is unique, event and handler are.

Old and new code: old code doesn't notice. New code names both columns where it records an event, `INSERT ...
ON CONFLICT (event_id, handler_name) DO NOTHING`, which PostgreSQL accepts from here on; before, it is an
error and nothing is lost. An ON CONFLICT that names no columns would pass over the second handler as the
old key does.

Way back: drops the index, as quietly. The rows stay as they are.
"""

from sherpa.db.migrations.migration import Migration

ID = "003_handler_key_index"
VERSION = "1.38.0"
DESCRIPTION = "unique index on processed_events (event_id, handler_name)"

FORWARDS = (
    # Serves the question of each delivery: WHERE event_id = ... AND handler_name = ...
    """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS processed_events_event_id_handler_name_key
        ON processed_events (event_id, handler_name)
    """,
)

BACKWARDS = ("DROP INDEX CONCURRENTLY IF EXISTS processed_events_event_id_handler_name_key",)

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS, transaction=False)
