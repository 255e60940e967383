"""Can the worker do its work now? PostgreSQL, schema, rights and Redis are asked at the same time."""

import asyncio
from collections.abc import Mapping
from typing import cast

import asyncpg

from sherpa.db.engine import Database
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.status import read_status
from sherpa.events.brokers.broker import Broker
from sherpa.telemetry.health import DOWN, UP, Answer, Check, Finding, Report, State
from sherpa.telemetry.logging import get_logger
from sherpa.worker.rights import GRANTED, Rights

CHECK_SECONDS = 1.0
CURRENT, BEHIND = "current", "behind"

_log = get_logger(__name__)


class Examiner:
    """The four checks of one worker, on its open resources."""

    def __init__(
        self, database: Database, broker: Broker, rights: Rights, *, seconds: float = CHECK_SECONDS
    ) -> None:
        self._database, self._broker = database, broker
        self._migrations = list_files()
        self._state: State | None = None
        self._checks = (
            Check("postgresql", self._ask_postgresql, seconds),
            Check("schema", self._ask_schema, seconds),
            Check("rights", rights.look, seconds),
            Check("redis", self._ask_redis, seconds),
        )

    async def examine(self) -> Report:
        """Run all checks and judge. A change of the state is logged, once."""
        findings = await asyncio.gather(*(check.run() for check in self._checks))
        report = judge({check.name: finding for check, finding in zip(self._checks, findings, strict=True)})
        if report.status is not self._state:
            log = _log.info if report.status is State.READY else _log.warning
            log("readiness changed", before=self._state, now=report.status, checks=report.statuses)
            self._state = report.status
        return report

    async def close(self) -> None:
        """End checks under way, before the resources are closed."""
        await asyncio.gather(*(check.close() for check in self._checks))

    async def _ask_postgresql(self) -> Answer:
        async with self._database.connection() as connection:
            await connection.fetchval("SELECT 1")
        return Answer(UP)

    async def _ask_schema(self) -> Answer:
        async with self._database.connection() as connection:
            # The proxy passes every call on.
            status = await read_status(cast("asyncpg.Connection", connection), self._migrations)
        return Answer(CURRENT) if status.at_head else Answer(BEHIND, pending=len(status.pending))

    async def _ask_redis(self) -> Answer:
        await self._broker.memory_share()
        return Answer(UP)


def judge(findings: Mapping[str, Finding]) -> Report:
    """Weigh the findings: without PostgreSQL nothing can be done, without Redis or rights less can."""
    if findings["postgresql"].status == DOWN or findings["schema"].status != CURRENT:
        return Report(State.UNAVAILABLE, findings)
    if findings["redis"].status == DOWN or findings["rights"].status != GRANTED:
        return Report(State.DEGRADED, findings)
    return Report(State.READY, findings)
