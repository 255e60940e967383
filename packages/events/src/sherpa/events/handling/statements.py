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
# What is done, or was discarded, is left out. What has an error is dead. Of the rest, those may run at once
# that have none to wait for before them, be it here or in failed_events.
PARK: Final = """
INSERT INTO failed_events (
    event_id, handler_name, aggregate_id, event_type, entry, status, attempts, deaths, error, traceback,
    next_attempt_at, first_failed_at, last_failed_at
)
SELECT
    event_id, $1, aggregate_id, event_type, entry,
    CASE WHEN status = 'retrying' AND NOT is_first THEN 'waiting' ELSE status END,
    attempts, CASE WHEN status = 'dead' THEN 0 ELSE $8 END, error, traceback,
    CASE WHEN status = 'retrying' AND is_first THEN clock_timestamp() END,
    CASE WHEN status = 'dead' THEN clock_timestamp() END,
    CASE WHEN status = 'dead' THEN clock_timestamp() END
FROM (
    SELECT
        parked.*,
        count(*) FILTER (WHERE {behind}) OVER before = 0 AND NOT EXISTS (
            SELECT FROM failed_events AS earlier
            WHERE earlier.handler_name = $1 AND earlier.aggregate_id = parked.aggregate_id AND {behind}
        ) AS is_first
    FROM (
        SELECT
            entries.*, CASE WHEN error IS NULL THEN 'retrying' ELSE 'dead' END AS status,
            CASE WHEN error IS NULL THEN 0 ELSE 1 END AS attempts
        FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], $6::text[], $7::text[])
            WITH ORDINALITY AS entries (
                event_id, aggregate_id, event_type, entry, error, traceback, place
            )
        WHERE NOT EXISTS (
            SELECT FROM processed_events AS done
            WHERE done.event_id = entries.event_id AND done.handler_name = $1
        )
    ) AS parked
    WINDOW before AS (
        PARTITION BY aggregate_id ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
) AS parked
ORDER BY place
ON CONFLICT DO NOTHING
RETURNING event_id, status
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
