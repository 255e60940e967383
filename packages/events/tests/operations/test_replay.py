"""Replay: what was published waits again for the relay, in one piece, never what could take effect twice."""

import asyncio
import signal
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Run, Start, Write
from sherpa.config import DatabaseSettings, EventsSettings
from sherpa.events import locks
from sherpa.events.errors import EventsError
from sherpa.events.operations.replaying import CHUNK, LOCK, Selection, plan_replay, replay
from sherpa.events.wakeup import CHANNEL

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVENTS = EventsSettings()


async def pending(connection: asyncpg.Connection) -> set[UUID]:
    """Return the events that wait to be published."""
    return {row["id"] for row in await connection.fetch("SELECT id FROM outbox WHERE processed_at IS NULL")}


async def somebody_waits_for(connection: asyncpg.Connection) -> None:
    """Return when another session waits for a lock that this one holds."""
    statement = (
        "SELECT true FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    while not await connection.fetchval(statement):  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.02)


async def test_range_waits_again(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """Published in the range: it waits for the relay again; before and after: it doesn't."""
    await write(age=3 * HOUR)
    (meant,) = await write(age=2 * HOUR)
    await write(age=HOUR)

    code, out, err = await run("replay", "--since", "150m", "--to", "90m")

    assert (0, "") == (code, err)
    assert {meant} == await pending(connection)
    assert "1 events wait in " in out


async def test_selection_narrows(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """`--type`, which may be repeated, and `--aggregate` both have to fit."""
    aggregate = uuid4()
    for event_type in ("membership.created", "membership.renewed", "payment.recorded"):
        await write(event_type=event_type, age=HOUR)
    (created,) = await write(event_type="membership.created", aggregate_id=aggregate, age=HOUR)
    (renewed,) = await write(event_type="membership.renewed", aggregate_id=aggregate, age=HOUR)
    await write(event_type="payment.recorded", aggregate_id=aggregate, age=HOUR)

    await run(
        *("replay", "--since", "2h", "--type", "membership.created", "--type", "membership.renewed"),
        *("--aggregate", str(aggregate)),
    )

    assert {created, renewed} == await pending(connection)


async def test_dry_run_changes_nothing(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """`--dry-run` counts by type and leaves everything as it is."""
    await write(3, age=HOUR)

    code, out, _ = await run("replay", "--since", "2h", "--dry-run")

    assert 0 == code
    assert "  membership.created  3" in out
    assert set() == await pending(connection)


async def test_too_long_ago_is_refused(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """A range that begins before EVENTS_REPLAY_DAYS is refused as a whole, with what to type instead."""
    await write(age=HOUR)

    code, out, err = await run("replay", "--since", "8d")
    untouched = await pending(connection)
    advised, _, _ = await run("replay", "--since", "7d")

    assert (1, "", set()) == (code, out, untouched)
    assert "EVENTS_DEDUPE_RETENTION_DAYS" in err
    assert "Begin with --since 7d." in err
    assert 0 == advised


async def test_old_event_published_lately_is_left_out(
    run: Run, write: Write, connection: asyncpg.Connection
) -> None:
    """Replayed again and again an event would outlive the memory of its handling: its creation counts."""
    await write(age=8 * DAY)
    await connection.execute("UPDATE outbox SET processed_at = now() - interval '1 hour'")
    (young,) = await write(age=HOUR)

    _, out, _ = await run("replay", "--since", "2h")

    assert "Left out: 1 events older than " in out
    assert {young} == await pending(connection)


async def test_empty_range_is_refused(run: Run) -> None:
    """An end before the beginning can't be meant."""
    code, _, err = await run("replay", "--since", "1h", "--to", "2h")

    assert 1 == code
    assert "--to comes after --since" in err


async def test_many_are_marked_in_chunks(write: Write, connection: asyncpg.Connection) -> None:
    """More than a chunk: the progress is told, and all are marked."""
    await write(CHUNK + 1, age=HOUR)
    told: list[tuple[int, int]] = []
    plan = await plan_replay(connection, Selection(since=2 * HOUR), EVENTS)

    done = await replay(connection, plan, lambda done, total, _: told.append((done, total)))

    assert CHUNK + 1 == done
    assert [(CHUNK, CHUNK + 1), (CHUNK + 1, CHUNK + 1)] == told
    assert CHUNK + 1 == len(await pending(connection))


async def test_killed_replay_has_done_nothing(
    write: Write, connection: asyncpg.Connection, database_settings: DatabaseSettings
) -> None:
    """Whoever looks sees all of a replay or none of it: a session that ends in the middle leaves nothing."""
    await write(CHUNK + 1, age=HOUR)
    victim = await asyncpg.connect(database_settings.url.reveal())
    plan = await plan_replay(victim, Selection(since=2 * HOUR), EVENTS)
    seen: list[int] = []

    def die(done: int, total: int, speed: float) -> None:
        seen.append(done)
        victim.terminate()

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await replay(victim, plan, die)

    await connection.execute("SELECT pg_advisory_xact_lock($1)", locks.key(LOCK))  # until it is really gone
    assert [CHUNK] == seen
    assert set() == await pending(connection)
    assert CHUNK + 1 == await replay(connection, plan, lambda *_: None)


async def test_second_replay_is_refused(run: Run, write: Write, connection: asyncpg.Connection) -> None:
    """One replay at a time: the other one says so, and changes nothing."""
    await write(age=HOUR)
    await connection.execute("SELECT pg_advisory_lock($1)", locks.key(LOCK))

    code, _, err = await run("replay", "--since", "2h")

    assert 1 == code
    assert "Another replay is under way" in err
    assert set() == await pending(connection)


async def test_replayed_events_come_in_their_old_order(write: Write, connection: asyncpg.Connection) -> None:
    """What waits again stands before what was written later, by the order that the relay goes by."""
    old = await write(3, age=2 * HOUR)
    new = await write(2, published=False)

    await replay(
        connection, await plan_replay(connection, Selection(since=3 * HOUR), EVENTS), lambda *_: None
    )

    rows = await connection.fetch("SELECT id FROM outbox WHERE processed_at IS NULL ORDER BY created_at, id")
    assert [*old, *new] == [row["id"] for row in rows]


async def test_relay_is_woken(write: Write, connection: asyncpg.Connection) -> None:
    """The relay hears of the replay when it is committed."""
    await write(age=HOUR)
    woken = asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: woken.set())

    await replay(
        connection, await plan_replay(connection, Selection(since=2 * HOUR), EVENTS), lambda *_: None
    )

    await asyncio.wait_for(woken.wait(), 10)
    await connection.reset()


async def test_pruned_event_is_no_fault(write: Write, connection: asyncpg.Connection) -> None:
    """An event that is deleted between the look and the marking is left out."""
    await write(2, age=HOUR)
    plan = await plan_replay(connection, Selection(since=2 * HOUR), EVENTS)
    await connection.execute("DELETE FROM outbox WHERE id = (SELECT id FROM outbox LIMIT 1)")

    assert 1 == await replay(connection, plan, lambda *_: None)


async def test_plan_of_a_later_time_is_empty(connection: asyncpg.Connection) -> None:
    """A range in the future is empty: nothing has been published there by the database's clock."""
    with pytest.raises(EventsError, match="Nothing lies between"):
        await plan_replay(connection, Selection(since=timedelta()), EVENTS)


async def test_interrupted_replay_changes_nothing(
    start: Start, write: Write, connection: asyncpg.Connection
) -> None:
    """Ctrl-C ends the command with a word and without a traceback, and nothing is marked."""
    (event,) = await write(age=HOUR)
    async with connection.transaction():
        await connection.execute("SELECT FROM outbox WHERE id = $1 FOR UPDATE", event)
        command = start("replay", "--since", "2h")
        await asyncio.wait_for(somebody_waits_for(connection), 30)
        command.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(command.communicate)

    assert 1 == command.returncode
    assert err.startswith("Interrupted.")
    assert set() == await pending(connection)
