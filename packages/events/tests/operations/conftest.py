"""Fixtures of the operators' tests: the real commands on a real database and a real stream."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, RedisSettings
from sherpa.db.progressbar import ProgressBar
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.cli import main

type Run = Callable[..., Awaitable[tuple[int, str, str]]]
type Start = Callable[..., subprocess.Popen[str]]
type Fail = Callable[..., Awaitable[UUID]]
type Write = Callable[..., Awaitable[list[UUID]]]
type Append = Callable[..., Awaitable[None]]


@pytest.fixture
def environment(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> dict[str, str]:
    """Return the variables that lead to the test's servers."""
    return {"DATABASE_URL": database_settings.url.reveal(), "REDIS_URL": redis_settings.url.reveal()}


@pytest.fixture
def run(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Return a function that runs a command in a loop of its own: its exit code, output and faults."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sherpa.db.console._bar", ProgressBar())  # a process's own, which remembers time
        code = await asyncio.to_thread(main, arguments)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Start:
    """Return a function that starts `python -m sherpa.events ...` in a folder without `.env`."""

    def start(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sherpa.events", *arguments],
            env=os.environ | environment | {"PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def fail(connection: asyncpg.Connection) -> Fail:
    """Return a function that records an event that a handler failed on: dead, unless told."""

    async def fail(
        handler: str = "welcome",
        *,
        status: str = "dead",
        event_id: UUID | None = None,
        aggregate_id: UUID | None = None,
        error: str = "ValueError: no",
    ) -> UUID:
        event_id, aggregate_id = event_id or uuid4(), aggregate_id or uuid4()
        entry = {"id": str(event_id), "type": "membership.created", "payload": '{"tier": "annual"}'}
        await connection.execute(
            """
            INSERT INTO failed_events (event_id, handler_name, aggregate_id, event_type, entry, status,
                attempts, error, traceback, first_failed_at, last_failed_at)
            VALUES ($1, $2, $3, 'membership.created', $4, $5, 8, $6, 'Traceback: here', now(), now())
            """,
            event_id,
            handler,
            aggregate_id,
            json.dumps(entry),
            status,
            error,
        )
        return event_id

    return fail


@pytest.fixture
def write(connection: asyncpg.Connection) -> Write:
    """Return a function that writes events to the outbox, `age` ago, published at once unless told."""

    async def write(
        count: int = 1,
        *,
        age: timedelta = timedelta(),
        published: bool = True,
        event_type: str = "membership.created",
        aggregate_id: UUID | None = None,
    ) -> list[UUID]:
        at = datetime.now(UTC) - age
        rows = await connection.fetch(
            """
            INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
            SELECT 'membership', coalesce($2, gen_random_uuid()), $3, '{"tier": "annual"}',
                $4::timestamptz + n * interval '1 us', CASE WHEN $5 THEN $4 + n * interval '1 us' END
            FROM generate_series(1, $1) AS n RETURNING id
            """,
            count,
            aggregate_id,
            event_type,
            at,
            published,
        )
        return [row["id"] for row in rows]

    return write


@pytest.fixture
async def broker(redis_settings: RedisSettings) -> AsyncIterator[Broker]:
    """Return the broker on the test's Redis."""
    broker = connect(redis_settings)
    yield broker
    await broker.close()


@pytest.fixture
def append(broker: Broker) -> Append:
    """Return a function that appends so many entries, their payloads counting from 0."""

    async def append(count: int, *, partition: int = 0) -> None:
        token = await broker.take(partition, "relay")
        await broker.append(
            partition, token, [{"id": str(uuid4()), "payload": str(each)} for each in range(count)]
        )

    return append
