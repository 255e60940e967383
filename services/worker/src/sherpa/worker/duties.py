"""What a worker does every so often, beside relaying and handling: pruning, and what the domain asks for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from sherpa.config import EventsSettings
from sherpa.db.engine import Database
from sherpa.events.operations.retention import prune_step
from sherpa.telemetry.logging import get_logger

PRUNE_SECONDS = 300.0
# A backlog of months must not take the disk from those who work.
PAUSE_SECONDS = 0.2

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done every so often. `name` stands in logs and metrics.

    `step` does a part of it, in a transaction of its own, and returns how many rows that were; 0: nothing is
    left. All workers do it, and may at the same time: a step passes over rows that another one has.
    """

    name: str
    every_seconds: float
    step: Callable[[Database], Awaitable[int]]


def pruning(events: EventsSettings) -> Duty:
    """Return the duty to delete published events and the memory of handled ones, by their retention."""

    async def step(database: Database) -> int:
        async with database.connection() as connection:
            return (await prune_step(connection, events)).total

    return Duty("prune", PRUNE_SECONDS, step)


class Rounds:
    """The rounds of one duty in this process."""

    def __init__(self, duty: Duty, database: Database, instruments: "DutyMetrics") -> None:
        self._duty, self._database = duty, database
        self._rows = instruments.rows.labels(duty.name)
        self._ended_at = instruments.ended_at.labels(duty.name)

    async def go(self) -> int:
        """Take steps until nothing is left; return how many rows that were. Raises what the duty does."""
        total = 0
        try:
            while done := await self._duty.step(self._database):
                total += done
                self._rows.inc(done)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            if total:
                _log.info("duty done", duty=self._duty.name, rows=total)
        self._ended_at.set(time.time())
        return total


class DutyMetrics:
    """What is measured of duties, by their names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "sherpa_worker_duty_rows", "Rows that this process did for the duty.", ["duty"], registry=registry
        )
        self.ended_at = Gauge(
            "sherpa_worker_duty_last_run_timestamp_seconds",
            "When this process last went through with the duty; 0: never.",
            ["duty"],
            registry=registry,
        )
