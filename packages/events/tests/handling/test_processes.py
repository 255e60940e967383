"""Whole processes that die or are paused in the middle of events: nothing is lost, nothing is done twice."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from packages.events.tests.handling.conftest import Stage, entry
from packages.events.tests.handling.process import EXITING, KILLED, SLOW
from sherpa.config import DatabaseSettings, RedisSettings
from sherpa.devstack.harness.waiting import eventually
from sherpa.events.brokers.connect import connect
from sherpa.events.handling.failures import MOST_DEATHS
from sherpa.events.handling.handler import Kind

ROOT = Path(__file__).parents[4]
WITHIN_SECONDS = 60

type Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(
    stage: Stage, database_settings: DatabaseSettings, redis_settings: RedisSettings
) -> AsyncIterator[Start]:
    """Return a function that starts a process with the stage's handlers; they end with the test."""
    stage.broker = connect(redis_settings)
    processes: list[asyncio.subprocess.Process] = []

    async def start(kind: Kind = Kind.EACH) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "packages.events.tests.handling.process",
            kind.value,
            cwd=ROOT,
            env={
                "DATABASE_URL": database_settings.url.reveal(),
                "DATABASE_MAX_CONNECTIONS": "12",
                "REDIS_URL": redis_settings.url.reveal(),
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await stage.broker.close()


async def is_drained(stage: Stage) -> bool:
    """Tell whether both groups have nothing left to do, in the stream or in the database."""
    groups = (await stage.broker.state(0)).groups
    waiting = await stage.connection.fetchval("SELECT count(*) FROM failed_events WHERE status <> 'dead'")
    return len(groups) == 2 and not waiting and not any(group.pending or group.lag for group in groups)


async def keep_alive(start: Start, kind: Kind, is_done: Callable[[], Awaitable[bool]]) -> int:
    """Start a process again whenever it dies, until the work is done; return how often one died."""
    deaths = 0
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            process = await start(kind)
            while process.returncode is None and not await is_done():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
            if process.returncode is None:
                return deaths
            deaths += 1


async def stop(process: asyncio.subprocess.Process) -> int:
    """Ask the process to end, and return how it did."""
    process.send_signal(signal.SIGTERM)
    return await process.wait()


@pytest.mark.parametrize("kind", [Kind.EACH, Kind.SET])
@pytest.mark.parametrize("deadly", [EXITING, KILLED])
async def test_deadly_event_is_given_up_and_innocents_are_not(
    stage: Stage, start: Start, kind: Kind, deadly: int
) -> None:
    """An event that kills its process is dead after three deaths; all others are done once, by both."""
    numbers = [*range(1, 11), deadly, *range(21, 31)]
    await stage.append(*(entry(number) for number in numbers))

    deaths = await keep_alive(start, kind, lambda: is_drained(stage))

    others = [number for number in numbers if number != deadly]
    assert MOST_DEATHS == deaths
    assert others == sorted(await stage.effects())
    assert numbers == sorted(await stage.effects("beside"))
    assert [("counter", "dead", MOST_DEATHS, True)] == await stage.failed(
        "handler_name", "status", "deaths", "error LIKE '%ProcessDiedError%'"
    )


async def test_deadly_retry_is_given_up(stage: Stage, start: Start) -> None:
    """An event that failed at first, and kills its process when it is tried again, is given up as well."""
    await stage.append(entry(1))
    await keep_alive(start, Kind.EACH, lambda: is_drained(stage))
    deadly = entry(EXITING)
    await stage.connection.execute(
        "INSERT INTO failed_events (event_id, handler_name, aggregate_id, entry, status, attempts,"
        " next_attempt_at) VALUES ($1, 'counter', $2, $3, 'retrying', 1, now())",
        UUID(deadly["id"]),
        UUID(deadly["aggregate_id"]),
        json.dumps(deadly),
    )
    await stage.connection.execute("NOTIFY sherpa_handlers")

    deaths = await keep_alive(start, Kind.EACH, lambda: is_drained(stage))

    assert [("dead", MOST_DEATHS, 1)] == await stage.failed("status", "deaths", "attempts")
    assert MOST_DEATHS - 1 <= deaths  # the process that ran before died of it, too


async def test_killed_again_and_again(stage: Stage, start: Start) -> None:
    """A process that is killed at any moment loses and repeats nothing; aggregates keep their order."""
    aggregates = [uuid4() for _ in range(7)]
    numbers = list(range(100, 2100))
    await stage.append(*(entry(number, aggregate_id=aggregates[number % 7]) for number in numbers))

    async def progress() -> int:
        count: int = await stage.connection.fetchval("SELECT count(*) FROM effects WHERE handler = 'counter'")
        return count

    for part in range(1, 5):
        process = await start()
        await eventually(partial(reached, progress, part * 300))
        process.kill()
        await process.wait()
    await keep_alive(start, Kind.EACH, lambda: is_drained(stage))

    assert numbers == sorted(await stage.effects())
    assert numbers == sorted(await stage.effects("beside"))
    assert [] == await stage.failed("status")
    rows = await stage.connection.fetch(
        "SELECT aggregate_id, array_agg(number ORDER BY place) AS numbers FROM effects"
        " WHERE handler = 'counter' GROUP BY 1"
    )
    assert all(row["numbers"] == sorted(row["numbers"]) for row in rows)


async def reached(progress: Callable[[], Awaitable[int]], mark: int) -> bool:
    """Tell whether there is so much progress."""
    return await progress() >= mark


async def test_paused_owner_is_replaced_and_does_no_harm(stage: Stage, start: Start) -> None:
    """While the owner is stopped by SIGSTOP another process goes on; awake again, it repeats nothing."""
    aggregate = uuid4()
    first = list(range(100, 110))
    second = list(range(110, 120))
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in first))
    paused = await start()
    await eventually(lambda: is_drained(stage))
    paused.send_signal(signal.SIGSTOP)
    await stage.append(*(entry(number, aggregate_id=aggregate) for number in second))

    other = await start()
    await eventually(lambda: is_drained(stage))
    paused.send_signal(signal.SIGCONT)
    await stage.append(entry(120, aggregate_id=aggregate))
    await eventually(lambda: is_drained(stage))

    assert [*first, *second, 120] == await stage.effects()
    assert (0, 0) == (await stop(paused), await stop(other))
    assert [] == await stage.failed("status")


async def test_stopped_process_ends_well(stage: Stage, start: Start) -> None:
    """SIGTERM: the event under way is finished and acknowledged, and the exit is 0."""
    await stage.append(entry(SLOW), *(entry(number) for number in range(100, 200)))
    process = await start()
    await eventually(lambda: reached(lambda: count_effects(stage), 1))

    code = await stop(process)

    counts = await stage.connection.fetchval(
        "SELECT count(*) FROM processed_events WHERE handler_name = 'counter'"
    )
    assert (0, counts) == (code, len(await stage.effects()))
    await keep_alive(start, Kind.EACH, lambda: is_drained(stage))
    assert [SLOW, *range(100, 200)] == sorted(await stage.effects())


async def count_effects(stage: Stage) -> int:
    """Return how many effects there are."""
    return len(await stage.effects())
