"""Relays as processes, killed, paused and stopped: nothing is lost, and a resumed one changes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from packages.events.tests.relay.conftest import Stream, Writer, marked
from sherpa.config import DatabaseSettings, RedisSettings
from sherpa.devstack.harness.waiting import eventually

SCRIPT = Path(__file__).with_name("relaying.py")

type Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> Iterator[Start]:
    """Return a function that starts a relay; all that were started are ended after the test."""
    environment = os.environ | {
        "DATABASE_URL": database_settings.url.reveal(),
        "REDIS_URL": redis_settings.url.reveal(),
        "EVENTS_BATCH_SIZE": "20",
    }
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, str(SCRIPT)], env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


async def has_published(connection: asyncpg.Connection, number: int) -> bool:
    """Tell whether so many events are marked as published."""
    return await marked(connection) == number


def without_repeats(numbers: list[int]) -> list[int]:
    """Return the numbers as a handler that remembers what it has done sees them."""
    return list(dict.fromkeys(numbers))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
async def test_standby_takes_over(
    blow: signal.Signals, start: Start, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """When the leader is killed or paused at work a standby goes on: all arrives, repeats apart in order."""
    leader = start()
    await writer.publish(0)
    await eventually(partial(has_published, connection, 1))
    start()
    for number in range(1, 200):
        await writer.publish(number)
        if number == 100:
            leader.send_signal(blow)

    await eventually(partial(has_published, connection, 200))

    assert list(range(200)) == without_repeats(await stream.numbers())


async def test_resumed_leader_changes_nothing(
    start: Start, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A leader that is paused until another leads, and resumed then, neither appends nor marks."""
    leader = start()
    await writer.publish(0)
    await eventually(partial(has_published, connection, 1))
    leader.send_signal(signal.SIGSTOP)
    await writer.publish(*range(1, 100))
    follower = start()
    await eventually(partial(has_published, connection, 100))
    published = await stream.numbers()

    leader.send_signal(signal.SIGCONT)
    await writer.publish(*range(100, 200))
    await eventually(partial(has_published, connection, 200))

    assert [*published, *range(100, 200)] == await stream.numbers()
    assert [None, None] == [leader.poll(), follower.poll()]


async def test_relays_killed_again_and_again_lose_nothing(
    start: Start, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """Five leaders are killed, one after the other, at work: all events arrive, repeats apart in order."""
    for start_number in range(0, 500, 100):
        leader = start()
        await writer.publish(*range(start_number, start_number + 50))
        await eventually(partial(has_published, connection, start_number + 50))
        for number in range(start_number + 50, start_number + 100):
            await writer.publish(number)
        leader.kill()
        leader.wait()
        await connection.execute(
            "UPDATE outbox SET processed_at = now() WHERE processed_at IS NULL AND false"
        )
    start()

    await eventually(partial(has_published, connection, 500))

    assert list(range(500)) == without_repeats(await stream.numbers())


async def test_sigterm_leaves_nothing_half_done(
    start: Start, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A relay that is told to stop ends with 0, and what it has published is what is marked."""
    relay = start()
    await writer.publish(*range(500))
    await eventually(partial(marked, connection))

    relay.terminate()

    assert 0 == relay.wait(timeout=20)
    assert list(range(await marked(connection))) == await stream.numbers()
