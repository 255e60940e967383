"""The SQL on failed_events. `$1` is the handler's name; `fill` fills in `{behind}` and `{partition}`."""

from typing import Final

from sherpa.events.handling.handler import OnFailure
from sherpa.events.partitions import partition_of

# What an event waits for: any earlier failure of its aggregate; or, where later events follow, those alone
# that have not been tried yet.
BEHIND: Final = {
    OnFailure.BLOCK: "true",
    OnFailure.SKIP: "status <> 'dead' AND attempts = 0",
}

LOOK: Final = """
SELECT
    ARRAY(
        SELECT wanted.id FROM unnest($2::uuid[]) AS wanted (id)
        WHERE EXISTS (
            SELECT FROM failed_events WHERE handler_name = $1 AND aggregate_id = wanted.id AND {behind}
        )
    ) AS blocked,
    ARRAY(SELECT event_id FROM failed_events WHERE handler_name = $1 AND event_id = ANY($3::uuid[])) AS failed
"""
PROCESSED: Final = (
    "SELECT event_id FROM processed_events WHERE handler_name = $1 AND event_id = ANY($2::uuid[])"
)
FAIL: Final = """
INSERT INTO failed_events AS failed (
    event_id, handler_name, aggregate_id, event_type, entry, status, attempts, error, traceback,
    next_attempt_at, first_failed_at, last_failed_at
) VALUES (
    $1, $2, $3, $4, $5, CASE WHEN $6::interval IS NULL THEN 'dead' ELSE 'retrying' END, $7, $8, $9,
    clock_timestamp() + $6, clock_timestamp(), clock_timestamp()
)
ON CONFLICT (event_id, handler_name) DO UPDATE SET
    status = excluded.status, attempts = excluded.attempts, error = excluded.error,
    traceback = excluded.traceback, next_attempt_at = excluded.next_attempt_at,
    first_failed_at = coalesce(failed.first_failed_at, excluded.first_failed_at),
    last_failed_at = excluded.last_failed_at, deaths = failed.deaths - $10
"""
# Those whose aggregate has none before them, here or in failed_events, may run at once.
PARK: Final = """
INSERT INTO failed_events (
    event_id, handler_name, aggregate_id, event_type, entry, status, deaths, next_attempt_at
)
SELECT
    event_id, $1, aggregate_id, event_type, entry,
    CASE WHEN is_first THEN 'retrying' ELSE 'waiting' END, $6,
    CASE WHEN is_first THEN clock_timestamp() END
FROM (
    SELECT
        parked.*,
        row_number() OVER (PARTITION BY aggregate_id ORDER BY place) = 1 AND NOT EXISTS (
            SELECT FROM failed_events AS earlier
            WHERE earlier.handler_name = $1 AND earlier.aggregate_id = parked.aggregate_id AND {behind}
        ) AS is_first
    FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::jsonb[])
        WITH ORDINALITY AS parked (event_id, aggregate_id, event_type, entry, place)
) AS parked
ORDER BY place
ON CONFLICT DO NOTHING
"""
DUE: Final = """
SELECT event_id, aggregate_id, event_type, entry, attempts, deaths FROM failed_events
WHERE handler_name = $1 AND status = 'retrying' AND next_attempt_at <= clock_timestamp()
  AND {partition} = $2
ORDER BY next_attempt_at, position LIMIT $4
"""
NEXT_DUE: Final = """
SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float FROM failed_events
WHERE handler_name = $1 AND status = 'retrying'
  AND {partition} = $2
ORDER BY next_attempt_at LIMIT 1
"""
BEGIN: Final = """
UPDATE failed_events SET deaths = deaths + 1
WHERE event_id = $1 AND handler_name = $2 AND status = 'retrying' AND deaths = $3
RETURNING true
"""
SURVIVE: Final = """
UPDATE failed_events SET deaths = deaths - 1
WHERE event_id = $1 AND handler_name = $2 AND deaths > 0
"""
REMOVE: Final = "DELETE FROM failed_events WHERE event_id = $1 AND handler_name = $2 RETURNING true"
# The first one that waits, where nothing before it makes it wait.
RELEASE: Final = """
UPDATE failed_events SET status = 'retrying', next_attempt_at = clock_timestamp()
WHERE handler_name = $1 AND event_id = (
    SELECT CASE WHEN status = 'waiting' THEN event_id END FROM failed_events
    WHERE handler_name = $1 AND aggregate_id = $2 AND {behind} ORDER BY position LIMIT 1
)
RETURNING event_id, aggregate_id, event_type, entry, attempts, deaths
"""
RELEASE_ALL: Final = """
UPDATE failed_events AS failed SET status = 'retrying', next_attempt_at = clock_timestamp()
WHERE handler_name = $1 AND status = 'waiting'
  AND {partition} = $2
  AND NOT EXISTS (
    SELECT FROM failed_events AS earlier
    WHERE earlier.handler_name = $1 AND earlier.aggregate_id = failed.aggregate_id
      AND earlier.position < failed.position AND {behind}
)
"""


def fill(statement: str, on_failure: OnFailure) -> str:
    """Return the statement for a handler that declares so what later events do; `$3` counts partitions."""
    return statement.format(
        behind=BEHIND[on_failure], partition=partition_of("coalesce(aggregate_id, event_id)", "$3")
    )
