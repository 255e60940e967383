"""An event is processed once by each handler: the key of processed_events is event and handler.

Why: two handlers of one event, a mail and a statistic, must both get it. With the event alone as the key,
the second one finds the event recorded, takes its own work for done, and the event is lost to it.

What is recorded stays: a row says "this handler did this event" before and after, and the same pair is
refused as before. A handler that was passed over finds no row of its own; it does the event when that is
delivered again.

Locks: ACCESS EXCLUSIVE on processed_events for an instant. Nothing is read or built: 003_handler_key_index
made the index, and both columns are NOT NULL.

Old and new code: a plain INSERT, and ON CONFLICT DO NOTHING, work on both keys; so does the error for a
pair that is there, for the constraint keeps its name. Only ON CONFLICT (event_id), which names the old key,
is an error from here on: such code must be gone before. New code names both columns (see 003), and may run
before this: a second handler is then refused aloud, by the old key, and gets the event again later.

Way back: the old key has room for one handler of an event. Where two are recorded it refuses, says how many
events those are, and changes nothing. Otherwise it keeps every row, and builds the old key and the index of
003 anew with ACCESS EXCLUSIVE on the table: some five seconds for a million rows, in which handlers wait.
"""

from sherpa.db.migrations.migration import Migration

ID = "004_handler_key"
VERSION = "1.38.0"
DESCRIPTION = "processed_events: primary key (event_id, handler_name)"

FORWARDS = """
-- The index takes the constraint's name, by which the code knows the error.
ALTER TABLE processed_events
    -- squawk-ignore ban-drop-constraint -- the wider key takes its place in the same statement
    DROP CONSTRAINT processed_events_pkey,
    ADD CONSTRAINT processed_events_pkey PRIMARY KEY USING INDEX processed_events_event_id_handler_name_key;
"""

BACKWARDS = """
-- At once the strongest lock: who took a weaker one first could wait for a handler that waits for us.
LOCK TABLE processed_events IN ACCESS EXCLUSIVE MODE;

-- squawk-ignore unread-block -- it counts, and raises
DO $$
DECLARE
    shared bigint;
BEGIN
    SELECT count(*) INTO shared FROM (
        SELECT FROM processed_events GROUP BY event_id HAVING count(*) > 1
    ) AS event;
    IF shared > 0 THEN
        RAISE EXCEPTION '% event(s) in processed_events are recorded by more than one handler', shared USING
            DETAIL = 'The old key has room for one handler of an event.',
            HINT = 'Stay at 004. Or choose one row of each such event, and delete the others: their handlers '
                'will do the event again when it is delivered again.';
    END IF;
END
$$;

ALTER TABLE processed_events
    DROP CONSTRAINT processed_events_pkey,
    -- squawk-ignore adding-serial-primary-key-field, constraint-missing-not-valid -- the way back, see above
    ADD CONSTRAINT processed_events_pkey PRIMARY KEY (event_id);

-- squawk-ignore require-concurrent-index-creation -- the table is locked already; in one piece or not at all
CREATE UNIQUE INDEX processed_events_event_id_handler_name_key ON processed_events (event_id, handler_name);
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
