"""What a handler could not do: events to try again, events that wait behind them, and dead letters.

Why: an event that failed must outlive the process, the stream and the whole broker. Its row holds all that is
needed to run it again, and is deleted by the very transaction that has its effect.

Locks: everything is created new, so nobody can be waiting for it.

Old and new code: old code doesn't know the table.

Way back: drops the table with the rows in it: every event that failed, and all that wait behind one, are lost
to their handlers. Look at them first: SELECT handler_name, status, count(*) FROM failed_events GROUP BY 1, 2.
"""

from sherpa.db.migrations.migration import Migration

ID = "007_failed_events"
VERSION = "1.38.0"
DESCRIPTION = "failed_events"

FORWARDS = """
-- squawk-ignore-file prefer-text-field -- as long as in outbox and processed_events

CREATE TABLE failed_events (
    event_id UUID NOT NULL,
    handler_name VARCHAR(100) NOT NULL,
    -- Both are empty where the entry could not be read so far.
    aggregate_id UUID,
    event_type VARCHAR(100),
    -- The fields of the stream's entry with their texts, as they came.
    entry JSONB NOT NULL,
    -- retrying: runs again at next_attempt_at. waiting: an earlier event of its aggregate comes first.
    -- dead: runs no more until an operator says so.
    status VARCHAR(20) NOT NULL CHECK (status IN ('retrying', 'waiting', 'dead')),
    -- Counts from one with the first failure; one that waits has none.
    -- squawk-ignore prefer-bigint-over-int -- nobody tries two billion times
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Runs that began and of which nothing was heard again, for their process died: counted before each run,
    -- taken back after it. So an event that kills whoever runs it is told from those that were only near.
    -- squawk-ignore prefer-bigint-over-int -- the third is the last
    deaths INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    traceback TEXT,
    -- The order of arrival, which within an aggregate is the order of the stream.
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    next_attempt_at TIMESTAMPTZ,
    first_failed_at TIMESTAMPTZ,
    last_failed_at TIMESTAMPTZ,
    PRIMARY KEY (event_id, handler_name)
);

-- Serves the handler's look for what is due: WHERE handler_name = ... AND status = 'retrying'
-- AND next_attempt_at <= now() ORDER BY next_attempt_at.
CREATE INDEX idx_failed_events_due ON failed_events (handler_name, next_attempt_at) WHERE status = 'retrying';

-- Serves the order within an aggregate: WHERE handler_name = ... AND aggregate_id = ... ORDER BY position.
CREATE INDEX idx_failed_events_aggregate ON failed_events (handler_name, aggregate_id, position);
"""

BACKWARDS = """
-- Never CASCADE: what others built on it must stop us.
DROP TABLE failed_events;
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
