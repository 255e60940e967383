"""The worker's own pruning: by the settings, a chunk at a time."""

import asyncpg

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.events.operations.retention import Rows
from sherpa.worker.pruner import Pruner

WRITE = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
SELECT 'a', gen_random_uuid(), 'a.b', '{}', at, at FROM (SELECT now() - $1 * interval '1 day' AS at) AS when_
"""


async def test_step_deletes_what_is_over(database: Database, connection: asyncpg.Connection) -> None:
    """What was published before the retention's days goes; the next step finds nothing, and says so."""
    for days in (1, 3, 5):
        await connection.execute(WRITE, days)
    pruner = Pruner(database, EventsSettings(outbox_retention_days=2, replay_days=2))

    steps = [await pruner.step(), await pruner.step()]

    assert [Rows(2, 0), Rows(0, 0)] == steps
    assert 1 == await connection.fetchval("SELECT count(*) FROM outbox")
