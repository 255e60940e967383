"""Can the worker do its work now? PostgreSQL, the schema and Redis are asked at the same time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import asyncpg

from sherpa.db.engine import Database
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.status import read_status
from sherpa.events.brokers.broker import Broker
from sherpa.telemetry.logging import get_logger
from sherpa.worker.vitals import Report, State

CHECK_SECONDS = 1.0
UP, DOWN, CURRENT, BEHIND = "up", "down", "current", "behind"

type Finding = Mapping[str, object]

_log = get_logger(__name__)


class Check:
    """Ask `question` in at most `seconds`. Until one that was too late has ended, none is asked again."""

    def __init__(self, name: str, question: Callable[[], Awaitable[Finding]], seconds: float) -> None:
        self.name = name
        self._question, self._seconds = question, seconds
        self._asking: asyncio.Task[Finding] | None = None

    async def run(self) -> Finding:
        """Return the finding; whatever goes wrong means that the component is down."""
        began = time.perf_counter()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"check {self.name}")
        asking = self._asking
        done, _ = await asyncio.wait({asking}, timeout=self._seconds)
        if not done:
            asking.cancel()
        answer = asking.result() if done and not asking.cancelled() else {"status": DOWN}
        return {**answer, "latency_ms": round((time.perf_counter() - began) * 1000, 1)}

    async def close(self) -> None:
        """End a question that is still open."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> Finding:
        try:
            return await self._question()
        except Exception as error:  # noqa: BLE001 - any failure is the answer "down"
            _log.debug("a check failed", check=self.name, reason=str(error), error=type(error).__name__)
            return {"status": DOWN}


class Examiner:
    """The three checks of one worker, on its open resources."""

    def __init__(self, database: Database, broker: Broker, *, seconds: float = CHECK_SECONDS) -> None:
        self._database, self._broker = database, broker
        self._migrations = list_files()
        self._state: State | None = None
        self._checks = (
            Check("postgresql", self._ask_postgresql, seconds),
            Check("schema", self._ask_schema, seconds),
            Check("redis", self._ask_redis, seconds),
        )

    async def examine(self) -> Report:
        """Run all checks and judge. A change of the state is logged, once."""
        findings = await asyncio.gather(*(check.run() for check in self._checks))
        report = judge({check.name: finding for check, finding in zip(self._checks, findings, strict=True)})
        if report.status is not self._state:
            log = _log.info if report.status is State.READY else _log.warning
            checks = {name: finding["status"] for name, finding in report.checks.items()}
            log("readiness changed", before=self._state, now=report.status, checks=checks)
            self._state = report.status
        return report

    async def close(self) -> None:
        """End checks under way, before the resources are closed."""
        await asyncio.gather(*(check.close() for check in self._checks))

    async def _ask_postgresql(self) -> Finding:
        async with self._database.connection() as connection:
            await connection.fetchval("SELECT 1")
        return {"status": UP}

    async def _ask_schema(self) -> Finding:
        async with self._database.connection() as connection:
            # The proxy passes every call on.
            status = await read_status(cast("asyncpg.Connection", connection), self._migrations)
        return {"status": CURRENT} if status.at_head else {"status": BEHIND, "pending": len(status.pending)}

    async def _ask_redis(self) -> Finding:
        await self._broker.memory_share()
        return {"status": UP}


def judge(findings: Mapping[str, Finding]) -> Report:
    """Weigh the findings: without Redis events wait in PostgreSQL, without that nothing can be done."""
    if findings["postgresql"]["status"] == DOWN or findings["schema"]["status"] != CURRENT:
        return Report(State.UNAVAILABLE, findings)
    if findings["redis"]["status"] == DOWN:
        return Report(State.DEGRADED, findings)
    return Report(State.READY, findings)
