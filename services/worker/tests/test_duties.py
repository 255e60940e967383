"""What a worker does every so often: a chunk at a time until nothing is left, and measured."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.db.errors import ConnectionLostError
from sherpa.worker import duties, repetition
from sherpa.worker.duties import Duty, DutyMetrics, Rounds, pruning
from sherpa.worker.repetition import Repetition

WRITE = """
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)
SELECT 'a', gen_random_uuid(), 'a.b', '{}', at, at FROM (SELECT now() - $1 * interval '1 day' AS at) AS when_
"""
# Only so that what never comes is a failure and no hang.
LONG = 30.0
NAME = {"duty": "count"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a round's steps follow each other at once."""
    monkeypatch.setattr(duties, "PAUSE_SECONDS", 0.0)


def counting(*numbers: int | Exception) -> Duty:
    """Return a duty whose steps come to these numbers."""
    left = iter(numbers)

    async def step(_database: Database) -> int:
        number = next(left)
        if isinstance(number, Exception):
            raise number
        return number

    return Duty("count", 60, step)


async def test_pruning_deletes_what_is_over(database: Database, connection: asyncpg.Connection) -> None:
    """What was published before the retention's days goes; the next step finds nothing, and says so."""
    for days in (1, 3, 5):
        await connection.execute(WRITE, days)
    duty = pruning(EventsSettings(outbox_retention_days=2, replay_days=2))

    steps = [await duty.step(database), await duty.step(database)]

    assert [2, 0] == steps
    assert 1 == await connection.fetchval("SELECT count(*) FROM outbox")


async def test_a_round_ends_when_nothing_is_left(database: Database) -> None:
    """It takes step after step, and shows how much it did and that it came to the end."""
    registry = CollectorRegistry()

    total = await Rounds(counting(1000, 20, 0), database, DutyMetrics(registry)).go()

    value = registry.get_sample_value
    assert (1020, 1020) == (total, value("sherpa_worker_duty_rows_total", NAME))
    assert (value("sherpa_worker_duty_last_run_timestamp_seconds", NAME) or 0) > 0


async def test_a_round_that_failed_is_not_through(database: Database) -> None:
    """What was done counts, and the time of the last whole round stays as it was: that is what to watch."""
    registry = CollectorRegistry()

    with pytest.raises(ConnectionLostError):
        await Rounds(counting(12, ConnectionLostError()), database, DutyMetrics(registry)).go()

    value = registry.get_sample_value
    assert 12 == value("sherpa_worker_duty_rows_total", NAME)
    assert 0 == value("sherpa_worker_duty_last_run_timestamp_seconds", NAME)


@pytest.mark.parametrize(("numbers", "lines"), [((0,), 0), ((5, 7, 0), 1), ((12, ConnectionLostError()), 1)])
async def test_a_round_says_in_one_line_what_it_did(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    numbers: tuple[int | Exception, ...],
    lines: int,
) -> None:
    """However many steps there were, also where one failed; nothing is said where nothing was done."""
    caplog.set_level(logging.INFO, logger="sherpa.worker")
    rounds = Rounds(counting(*numbers), database, DutyMetrics(CollectorRegistry()))

    with contextlib.suppress(ConnectionLostError):
        await rounds.go()

    said = capsys.readouterr().out
    assert [lines, lines] == [said.count("duty done"), said.count("12")]


async def test_what_failed_is_done_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A duty of once a day does not wait for a day when the server was away for a moment."""
    monkeypatch.setattr(repetition, "AGAIN_SECONDS", 0.0)
    outcomes: Iterator[Exception | None] = iter([OSError(), OSError(), None])
    succeeded = asyncio.Event()

    async def step() -> None:
        if error := next(outcomes):
            raise error
        succeeded.set()

    repeating = asyncio.create_task(Repetition("a duty").forever(step, every_seconds=86_400))
    async with asyncio.timeout(LONG):
        await succeeded.wait()
    repeating.cancel()

    assert None is next(outcomes, None)
