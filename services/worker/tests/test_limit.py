"""What the worker's handlers publish is bounded as the settings say."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import ClassVar
from uuid import uuid4

import pytest

from sherpa.config import (
    DatabaseSettings,
    EventsSettings,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    WorkerSettings,
)
from sherpa.db.engine import Database
from sherpa.events.errors import InvalidEventError
from sherpa.events.event import Event, Payload
from sherpa.events.publishing import publish
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.vitals import Vitals
from sherpa.worker.wiring import make_plan
from sherpa.worker.work import Work


class Noted(Payload, frozen=True, kw_only=True):
    """A payload of any length."""

    event_type: ClassVar[str] = "note.written"
    aggregate_type: ClassVar[str] = "note"
    text: str


@pytest.fixture
async def workers_database(
    database_settings: DatabaseSettings, redis_settings: RedisSettings
) -> AsyncIterator[Database]:
    """Return the database as a worker opens it, with payloads of 100 bytes at most."""
    settings = ProcessSettings(
        server=ServerSettings(),
        database=database_settings,
        redis=redis_settings,
        events=replace(EventsSettings(), payload_bytes=100),
        worker=WorkerSettings(),
        email=None,
        logging=LoggingSettings(),
    )
    async with AsyncExitStack() as resources:
        work = Work(settings, make_plan(settings, ()), Vitals())
        yield await work._open_database(resources)


async def test_payloads_are_bounded_by_the_settings(workers_database: Database) -> None:
    """EVENTS_PAYLOAD_BYTES is what a handler of this worker may publish."""
    async with workers_database.transaction() as transaction:
        await publish(transaction, Event(aggregate_id=uuid4(), payload=Noted(text="x" * 50)))
        with pytest.raises(InvalidEventError, match="may have 100: publish less"):
            await publish(transaction, Event(aggregate_id=uuid4(), payload=Noted(text="x" * 100)))
