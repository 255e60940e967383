"""The ground for events: the outbox that publishes them reliably, and the memory of those already handled.

Why: an event written in the same transaction as the change it tells of is never lost, and never tells of a
change that was rolled back; a handler that remembers what it has done may safely be given an event twice.

Locks: everything is created new, so nobody can be waiting for it.

Way back: drops both tables with the rows in them, and those extensions that this migration created itself
(they carry its mark as their comment). An extension that was there before stays as it was.
"""

from sherpa.db.migrations.migration import Migration

ID = "001_foundation"
VERSION = "1.38.0"
DESCRIPTION = "outbox, processed_events, extensions"

FORWARDS = """
-- squawk-ignore-file prefer-text-field -- the lengths are those of the specification

-- Nothing of ours depends on these two: they are there for those who query by hand. So we go on without where
-- the server lacks the library (embedded) or the extension (managed), or where our role may not create it.
-- What is only a bad moment (conflict, resources, lock, shutdown: classes 40, 53, 55, 57) still fails.
-- The comment is a mark by which the way back knows what is ours; it survives pg_dump and pg_upgrade.
-- squawk-ignore unread-block -- it creates two extensions, which locks no table
DO $$
DECLARE
    extension text;
BEGIN
    FOREACH extension IN ARRAY ARRAY['uuid-ossp', 'pgcrypto'] LOOP
        IF EXISTS (SELECT FROM pg_extension WHERE extname = extension) THEN
            CONTINUE;
        END IF;
        BEGIN -- a subtransaction: what fails in it is undone, and the migration goes on
            EXECUTE format('CREATE EXTENSION %I', extension);
            EXECUTE format('COMMENT ON EXTENSION %I IS %L', extension, 'created by sherpa 001_foundation');
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '55', '57') THEN
                RAISE;
            END IF;
            -- Without the folders of the server's installation: who reads this can't change them.
            RAISE NOTICE 'extension % is left out: %', extension, regexp_replace(SQLERRM, '"/[^"]*/', '"');
        END;
    END LOOP;
END
$$;

-- An event waits here, written by the transaction that made it true, until the relay has published it.
CREATE TABLE outbox (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    -- What changed, e.g. 'membership' and its id: events of one aggregate are published in order.
    aggregate_type VARCHAR(100) NOT NULL,
    aggregate_id UUID NOT NULL,
    event_type VARCHAR(100) NOT NULL,
    payload JSONB NOT NULL,
    -- When the transaction began, not when it ended: a row may become visible after a younger one.
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    processed_at TIMESTAMPTZ -- empty until published
);

-- Serves the relay: SELECT ... WHERE processed_at IS NULL ORDER BY created_at LIMIT n. Partial: as small as
-- the backlog, however many published events the table keeps.
CREATE INDEX idx_outbox_unprocessed ON outbox(created_at) WHERE processed_at IS NULL;

-- What was handled, so that a second delivery changes nothing. The key is the event alone, as specified: a
-- second handler of the same event would find it taken. 004_handler_key widens it.
CREATE TABLE processed_events (
    event_id UUID PRIMARY KEY,
    handler_name VARCHAR(100) NOT NULL,
    processed_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

-- Serves retention and diagnosis, by handler: WHERE handler_name = ... AND processed_at < ...
CREATE INDEX idx_processed_events_handler ON processed_events(handler_name, processed_at);
"""

BACKWARDS = """
-- Indexes and constraints go with their tables. Never CASCADE: what others built on these must stop us.
DROP TABLE processed_events;
DROP TABLE outbox;

-- Only what bears our mark. An extension that something else has come to use stops us, too.
-- squawk-ignore unread-block -- it drops the extensions that bear our mark
DO $$
DECLARE
    extension name;
BEGIN
    FOR extension IN
        SELECT extname FROM pg_extension
        WHERE extname IN ('uuid-ossp', 'pgcrypto')
          AND obj_description(oid, 'pg_extension') = 'created by sherpa 001_foundation'
    LOOP
        EXECUTE format('DROP EXTENSION %I', extension);
    END LOOP;
END
$$;
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
