"""What a handler may do in its transaction, and what becomes of it when it misbehaves there."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import asyncpg
import pytest

from packages.events.tests.handling.conftest import Counted, Stage, entry, record
from sherpa.db.tables.processed_events import ProcessedEvents
from sherpa.db.transaction import Transaction
from sherpa.events.event import Event, Received
from sherpa.events.handling.handler import Handle, Kind
from sherpa.events.handling.outcome import Outcome
from sherpa.events.publishing import publish


async def test_tables_take_part(stage: Stage) -> None:
    """A Piccolo query in a handler is part of the transaction: it is undone with it."""

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        await ProcessedEvents.insert(ProcessedEvents(event_id=event.aggregate_id, handler_name="by table"))
        await record(transaction, event)
        if event.payload.number == 2:
            raise ValueError("undo")

    await stage.append(entry(1), entry(2))

    await stage.drain(stage.consumer(handle=handle, attempts=1))

    by_table = await stage.connection.fetchval(
        "SELECT count(*) FROM processed_events WHERE handler_name = 'by table'"
    )
    assert ([1], 1) == (await stage.effects(), by_table)


async def test_follow_up_events_are_published_with_the_effect(stage: Stage) -> None:
    """What a handler publishes is in the outbox exactly if its effect is, and tells what caused it."""

    async def handle(transaction: Transaction, event: Received[Counted]) -> None:
        following = Event(
            aggregate_id=event.aggregate_id,
            payload=Counted(number=event.payload.number + 100),
            correlation_id=event.correlation_id or event.id,
            causation_id=event.id,
            traceparent=event.traceparent,
        )
        await publish(transaction, following)
        if event.payload.number == 2:
            raise ValueError("undo")

    first = entry(1)
    await stage.append(first, entry(2))

    await stage.drain(stage.consumer(handle=handle, attempts=1))

    rows = await stage.connection.fetch("SELECT causation_id::text, correlation_id::text FROM outbox")
    assert [(first["id"], first["id"])] == [tuple(row) for row in rows]


async def swallow(transaction: Transaction, event: Received[Counted]) -> None:
    """Go on after a statement that failed, as if nothing had been."""
    await record(transaction, event)
    with suppress(asyncpg.DivisionByZeroError):
        await transaction.connection.execute("SELECT 1/0")


async def swallow_part(transaction: Transaction, event: Received[Counted]) -> None:
    """Go on after a joined block that failed."""
    await record(transaction, event)
    with suppress(ValueError):
        async with transaction.engine.transaction():
            raise ValueError("part")


async def commit(transaction: Transaction, event: Received[Counted]) -> None:
    """Commit what others have in the same transaction, before their effect is there."""
    await record(transaction, event)
    await transaction.commit()


async def roll_back(transaction: Transaction, event: Received[Counted]) -> None:
    """Undo everything, and say nothing."""
    await record(transaction, event)
    await transaction.rollback()


async def commit_by_sql(transaction: Transaction, event: Received[Counted]) -> None:
    """Commit as PostgreSQL's manual says."""
    await record(transaction, event)
    await transaction.connection.execute("COMMIT; BEGIN")


async def roll_back_by_sql(transaction: Transaction, event: Received[Counted]) -> None:
    """Undo everything likewise, behind another statement."""
    await record(transaction, event)
    await transaction.connection.execute("SELECT 1; /* and */ ROLLBACK; BEGIN")


async def commit_by_the_driver(transaction: Transaction, event: Received[Counted]) -> None:
    """Use the driver's transaction in place of ours."""
    await record(transaction, event)
    await transaction.transaction.commit()


async def commit_by_hidden_sql(transaction: Transaction, event: Received[Counted]) -> None:
    """Commit by the word that is not looked for there."""
    await record(transaction, event)
    await transaction.connection.execute("SELECT 1; END")


async def commit_and_fail(transaction: Transaction, event: Received[Counted]) -> None:
    """Do so, and raise."""
    await commit_by_hidden_sql(transaction, event)
    raise ValueError("too late")


async def cancel_itself(transaction: Transaction, event: Received[Counted]) -> None:
    """Raise what would end the consumer's task."""
    await record(transaction, event)
    raise asyncio.CancelledError


async def hang(transaction: Transaction, event: Received[Counted]) -> None:
    """Wait for what never comes."""
    await record(transaction, event)
    await asyncio.Event().wait()


async def hang_in_the_database(transaction: Transaction, event: Received[Counted]) -> None:
    """Wait in a statement."""
    await record(transaction, event)
    await transaction.connection.execute("SELECT pg_sleep(60)")


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
@pytest.mark.parametrize(
    ("handle", "error"),
    [
        (swallow, "TransactionFailedError"),
        (swallow_part, "TransactionFailedError"),
        (commit, "TransactionMisuseError"),
        (roll_back, "TransactionMisuseError"),
        (commit_by_sql, "TransactionMisuseError"),
        (roll_back_by_sql, "TransactionMisuseError"),
        (cancel_itself, "HandlerCancelledError"),
        (hang, "HandlerTimeoutError"),
        (hang_in_the_database, "HandlerTimeoutError"),
    ],
)
async def test_misbehaviour_is_a_failure(stage: Stage, kind: Kind, handle: Handle, error: str) -> None:
    """Nothing of it is committed, it is recorded, and the next event runs in a sane session."""

    async def misbehave_on_one(transaction: Transaction, event: Received[Counted]) -> None:
        await (handle if event.payload.number == 1 else record)(transaction, event)

    aggregate = uuid4()
    await stage.append(entry(1), entry(2), entry(3, aggregate_id=aggregate), entry(4, aggregate_id=aggregate))

    consumer = stage.consumer(
        handle=misbehave_on_one, kind=kind, attempts=2, timeout_seconds=0.2, concurrency=4
    )
    outcomes = await stage.drain(consumer)

    assert [2, 3, 4] == sorted(await stage.effects())
    assert [("dead", 2, True)] == await stage.failed("status", "attempts", f"error LIKE '%{error}%'")
    assert Outcome.DATABASE_AWAY not in outcomes
    assert 0 == await stage.pending()


@pytest.mark.parametrize(("kind", "dead"), [(Kind.EACH, [1]), (Kind.BATCH, [1, 2, 3])], ids=["each", "batch"])
@pytest.mark.parametrize("handle", [commit_by_the_driver, commit_by_hidden_sql, commit_and_fail])
async def test_ended_transaction_is_noticed(
    stage: Stage, kind: Kind, dead: list[int], handle: Handle
) -> None:
    """What can't be undone is told at once, never passed over as done; later events run in a sane session."""

    async def misbehave_on_one(transaction: Transaction, event: Received[Counted]) -> None:
        await (handle if event.payload.number == 1 else record)(transaction, event)

    await stage.append(*(entry(number) for number in (1, 2, 3)))
    consumer = stage.consumer(handle=misbehave_on_one, kind=kind, concurrency=4)

    await stage.drain(consumer)
    await stage.append(entry(4))
    await stage.drain(consumer)

    kept = await stage.failed("((entry ->> 'payload')::jsonb ->> 'number')::int", "status", "attempts")
    assert [(number, "dead", 1) for number in dead] == kept
    assert [("TransactionEndedError",)] == [
        tuple(row)
        for row in await stage.connection.fetch(
            "SELECT DISTINCT substring(error from 'TransactionEndedError') FROM failed_events"
        )
    ]
    assert 4 in await stage.effects()
    assert 0 == await stage.pending()


async def test_transaction_ended_in_a_retry_is_noticed(stage: Stage) -> None:
    """The failure's row may be deleted and committed by then: it is there again, as a dead letter."""
    times = iter([True])

    async def fail_then_commit(transaction: Transaction, event: Received[Counted]) -> None:
        if next(times, False):
            raise ValueError("passing")
        await commit_by_hidden_sql(transaction, event)

    await stage.append(entry(1))

    await stage.drain(stage.consumer(handle=fail_then_commit))

    assert ([1], [("dead", 2, True)]) == (
        await stage.effects(),
        await stage.failed("status", "attempts", "error LIKE '%TransactionEndedError%'"),
    )


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
async def test_conflicts_are_no_attempts(stage: Stage, kind: Kind) -> None:
    """A deadlock's or a serialization's loser runs again at once, and no attempt is counted."""
    conflicts = iter(range(3))

    async def conflict(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        for _ in conflicts:
            await transaction.connection.execute("DO $$BEGIN RAISE SQLSTATE '40001'; END$$")

    await stage.append(entry(1))

    await stage.drain(stage.consumer(handle=conflict, kind=kind, attempts=1, concurrency=4))

    assert ([1], []) == (await stage.effects(), await stage.failed("status"))


async def test_endless_conflict_is_a_failure_in_the_end(stage: Stage) -> None:
    """An event that conflicts each time doesn't hold the others up for ever."""

    async def conflict(transaction: Transaction, event: Received[Counted]) -> None:
        if event.payload.number == 1:
            await transaction.connection.execute("DO $$BEGIN RAISE SQLSTATE '40001'; END$$")
        await record(transaction, event)

    await stage.append(entry(1), entry(2))

    await stage.drain(stage.consumer(handle=conflict, attempts=1))

    assert ([2], [("dead",)]) == (await stage.effects(), await stage.failed("status"))


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
async def test_event_that_ends_its_session_each_time_is_given_up(stage: Stage, kind: Kind) -> None:
    """A session that ends under an event is an accident at first; always under the same, it is a failure."""

    async def end_session(transaction: Transaction, event: Received[Counted]) -> None:
        if event.payload.number == 2:
            async with stage.database.connection() as other:
                pid = await transaction.connection.fetchval("SELECT pg_backend_pid()")
                await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await record(transaction, event)

    await stage.append(entry(1), entry(2), entry(3))

    await stage.drain(stage.consumer(handle=end_session, kind=kind, attempts=2, concurrency=4))

    assert ([1, 3], [("dead", 2, 0)]) == (
        sorted(await stage.effects()),
        await stage.failed("status", "attempts", "deaths"),
    )


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.BATCH])
async def test_lost_session_is_no_attempt(stage: Stage, kind: Kind) -> None:
    """When the session ends under the work, all of it is done again, once, with no failure recorded."""
    times = iter([True])

    async def lose_session(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if event.payload.number == 2 and next(times, False):
            await stage.connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND application_name = 'test' AND datname = current_database()"
            )

    await stage.append(*(entry(number) for number in range(4)))

    outcomes = await stage.drain(stage.consumer(handle=lose_session, kind=kind, concurrency=4))

    assert ([0, 1, 2, 3], [], 0) == (
        sorted(await stage.effects()),
        await stage.failed("status"),
        await stage.pending(),
    )
    assert 1 == outcomes.count(Outcome.DATABASE_AWAY)
