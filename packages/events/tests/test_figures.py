"""The figures of the outbox and the failed events are what the tables hold."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from sherpa.events.figures import read_figures


async def test_nothing_is_nothing(connection: asyncpg.Connection) -> None:
    """Empty tables give zeros, and no age."""
    figures = await read_figures(connection)

    assert (0, 0.0, {}) == (figures.pending, figures.oldest_pending_seconds, figures.failed)


async def test_pending_is_counted_and_aged(connection: asyncpg.Connection) -> None:
    """What is published doesn't count; the age is that of the oldest that waits, by the server's clock."""
    await connection.executemany(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)"
        " VALUES ($1, 'membership', $2, 'membership.created', '{}', clock_timestamp() - $3::interval, $4)",
        [
            (uuid4(), uuid4(), timedelta(hours=1), datetime.now(UTC)),
            (uuid4(), uuid4(), timedelta(seconds=90), None),
            (uuid4(), uuid4(), timedelta(seconds=1), None),
        ],
    )

    figures = await read_figures(connection)

    assert 2 == figures.pending
    assert 90 <= figures.oldest_pending_seconds < 3_000


async def test_failures_are_counted_by_handler_and_status(connection: asyncpg.Connection) -> None:
    """Each handler's failed events are counted by what is to become of them."""
    await connection.executemany(
        "INSERT INTO failed_events (event_id, handler_name, entry, status) VALUES ($1, $2, '{}', $3)",
        [
            (uuid4(), "a", "dead"),
            (uuid4(), "a", "dead"),
            (uuid4(), "a", "retrying"),
            (uuid4(), "b", "waiting"),
        ],
    )

    figures = await read_figures(connection)

    assert {("a", "dead"): 2, ("a", "retrying"): 1, ("b", "waiting"): 1} == figures.failed
