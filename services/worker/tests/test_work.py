"""What a worker does beside relaying and handling, and what it lets its handlers do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import ClassVar
from uuid import uuid4

import asyncpg
import pytest

from sherpa.config import (
    DatabaseSettings,
    EventsSettings,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    WorkerSettings,
)
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.errors import InvalidEventError
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import publish
from sherpa.worker.process import Process
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.vitals import Vitals
from sherpa.worker.wiring import make_plan
from sherpa.worker.work import Work

# Only so that what never comes is a failure and no hang.
LONG = 30.0
WRITE = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
SELECT 'a', gen_random_uuid(), 'a.b', '{}', at, CASE WHEN $2 THEN at END
FROM (SELECT now() - $1 * interval '1 day' AS at) AS when_
"""


class Noted(Payload, frozen=True, kw_only=True):
    """A payload of any length."""

    event_type: ClassVar[str] = "note.written"
    aggregate_type: ClassVar[str] = "note"
    text: str


@pytest.fixture
def settings(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> ProcessSettings:
    """Return the settings of a worker that neither relays nor handles, with payloads of 100 bytes at most."""
    return ProcessSettings(
        server=ServerSettings(),
        database=database_settings,
        redis=redis_settings,
        events=EventsSettings(payload_bytes=100),
        worker=WorkerSettings(relay=False),
        email=None,
        logging=LoggingSettings(),
    )


@asynccontextmanager
async def working(settings: ProcessSettings) -> AsyncIterator[Work]:
    """Work for the block."""
    async with AsyncExitStack() as resources:
        work = Work(settings, make_plan(settings, ()), Vitals())
        running = asyncio.create_task(work.run(resources))
        try:
            yield work
        finally:
            running.cancel()
            await asyncio.wait({running})
            await work.dismiss(within_seconds=LONG, hurry=asyncio.get_running_loop().create_future())


async def test_payloads_are_bounded_by_the_settings(settings: ProcessSettings) -> None:
    """EVENTS_PAYLOAD_BYTES is what a handler of this worker may publish."""
    async with AsyncExitStack() as resources:
        database = await Work(settings, make_plan(settings, ()), Vitals())._open_database(resources)
        async with database.transaction() as transaction:
            await publish(transaction, Event(aggregate_id=uuid4(), payload=Noted(text="x" * 50)))
            with pytest.raises(InvalidEventError, match="may have 100: publish less"):
                await publish(transaction, Event(aggregate_id=uuid4(), payload=Noted(text="x" * 100)))


async def test_a_worker_prunes(settings: ProcessSettings, connection: asyncpg.Connection) -> None:
    """Nobody has to call `prune`: what is over goes by itself."""
    await connection.execute(WRITE, 100, True)

    async def is_gone() -> bool:
        return not await connection.fetchval("SELECT count(*) FROM outbox")

    async with working(settings):
        await eventually(is_gone)


async def test_a_worker_samples(settings: ProcessSettings, connection: asyncpg.Connection) -> None:
    """/metrics shows how many events wait, without anybody asking PostgreSQL for it."""
    await connection.execute(WRITE, 1, False)

    async with working(settings) as work:

        async def is_shown() -> bool:
            return b"sherpa_events_outbox_pending 1.0" in work.answers.answer("/metrics", "").body

        await eventually(is_shown)


async def test_what_does_not_end_keeps_no_seat(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to stop while something can't be rolled back, as where PostgreSQL hangs, it gives its seats up."""
    let_go, dismissed = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    async def dismiss(_work: Work, **_options: object) -> bool:
        dismissed.set()
        return True

    monkeypatch.setattr(Work, "dismiss", dismiss)
    brief = replace(settings, worker=WorkerSettings(relay=False, grace_seconds=0.1))
    process = Process(brief, make_plan(brief, ()), AsyncExitStack())
    hanging = asyncio.create_task(hang())

    finishing = asyncio.create_task(process._finish(hanging))
    try:
        async with asyncio.timeout(LONG):
            await dismissed.wait()
        assert not hanging.done()
    finally:
        let_go.set()
        await asyncio.gather(hanging, finishing)
