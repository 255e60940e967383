"""Retention: what is old goes in chunks, and nothing goes that a relay, a handler or a replay could need."""

from datetime import timedelta

import asyncpg

from packages.events.tests.operations.conftest import Run, Write
from sherpa.config import EventsSettings
from sherpa.events.operations.retention import Rows, prune_step

DAY = timedelta(days=1)
EVENTS = EventsSettings(outbox_retention_days=7, dedupe_retention_days=30)


async def handle(
    connection: asyncpg.Connection, age: timedelta, *, count: int = 1, handler: str = "a"
) -> None:
    """Remember events as handled so long ago."""
    await connection.execute(
        "INSERT INTO processed_events SELECT gen_random_uuid(), $1, now() - $2::interval"
        " FROM generate_series(1, $3)",
        handler,
        age,
        count,
    )


async def left(connection: asyncpg.Connection) -> Rows:
    """Count what is there."""
    return Rows(
        await connection.fetchval("SELECT count(*) FROM outbox"),
        await connection.fetchval("SELECT count(*) FROM processed_events"),
    )


async def test_old_rows_go(write: Write, connection: asyncpg.Connection) -> None:
    """Published and handled long enough ago: deleted; the younger ones stay."""
    await write(2, age=8 * DAY)
    await write(3, age=6 * DAY)
    await handle(connection, 31 * DAY, count=4)
    await handle(connection, 29 * DAY, count=5)

    assert Rows(2, 4) == await prune_step(connection, EVENTS)
    assert Rows(3, 5) == await left(connection)


async def test_waiting_event_stays(write: Write, connection: asyncpg.Connection) -> None:
    """What was never published stays however old it is."""
    await write(age=400 * DAY, published=False)

    assert Rows(0, 0) == await prune_step(connection, EVENTS)


async def test_memory_outlasts_a_waiting_event(write: Write, connection: asyncpg.Connection) -> None:
    """While an old event waits, what was handled since it was written is remembered: it may be that."""
    await write(age=40 * DAY, published=False)
    await handle(connection, 41 * DAY)
    await handle(connection, 35 * DAY)

    assert Rows(0, 1) == await prune_step(connection, EVENTS)


async def test_each_handler_is_pruned(connection: asyncpg.Connection) -> None:
    """Every handler's memory is looked through, whatever its name."""
    for handler in ("a", "b", "zz", "Ä"):
        await handle(connection, 31 * DAY, handler=handler)

    assert Rows(0, 4) == await prune_step(connection, EVENTS)


async def test_step_is_bounded(write: Write, connection: asyncpg.Connection) -> None:
    """A step deletes no more than it is told, the oldest first; the next one goes on."""
    await write(age=20 * DAY)
    await write(2, age=10 * DAY)

    steps = [await prune_step(connection, EVENTS, limit=2) for _ in range(3)]

    assert [Rows(2, 0), Rows(1, 0), Rows(0, 0)] == steps


async def test_row_in_use_is_passed_over(
    write: Write, connection: asyncpg.Connection, database: object, run: Run
) -> None:
    """A row that a replay has in hand is left to it: nobody waits."""
    (taken, _) = await write(2, age=8 * DAY)

    async with connection.transaction():
        await connection.execute("UPDATE outbox SET processed_at = NULL WHERE id = $1", taken)
        code, out, _ = await run("prune")

    assert 0 == code
    assert "1 deleted" in out
    assert taken == await connection.fetchval("SELECT id FROM outbox WHERE processed_at IS NULL")


async def test_dry_run_deletes_nothing(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """`--dry-run` counts what is due."""
    await write(2, age=8 * DAY)

    code, out, _ = await run("prune", "--dry-run")

    assert 0 == code
    assert "2 would be deleted" in out
    assert Rows(2, 0) == await left(connection)


async def test_prune_says_what_it_did(run: Run, write: Write) -> None:
    """The sum is of this run: a second one finds nothing to do."""
    await write(2, age=8 * DAY)

    (_, first, err), (_, second, _) = await run("prune"), await run("prune")

    assert "" == err
    assert " 2 deleted (published more than 7 days ago)" in first
    assert " 0 deleted (published more than 7 days ago)" in second
