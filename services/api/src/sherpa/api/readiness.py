"""Can this process do its work now? PostgreSQL, the schema and Redis are asked at the same time.

A flood of probes takes at most two connections of the pool, and none of them waits for one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import asyncpg

from sherpa.api.resources import Resources
from sherpa.api.settings import ApiSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.status import read_status
from sherpa.telemetry.health import DOWN, UP, Answer, Check, Finding, Report, State
from sherpa.telemetry.logging import get_logger

CHECK_SECONDS = 1.0
BUSY = "busy"
CURRENT = "current"
BEHIND = "behind"

_log = get_logger(__name__)


class Readiness:
    """The three checks of one application, on its open resources."""

    def __init__(
        self, resources: Resources, settings: ApiSettings, *, seconds: float = CHECK_SECONDS
    ) -> None:
        self._database, self._redis = resources.database, resources.redis
        self._options = connect_options(settings.database, application_name="sherpa-api-health")
        self._migrations = list_files()
        self._state: State | None = None
        self._checks = (
            Check("postgresql", self._ask_postgresql, seconds),
            Check("schema", self._ask_schema, seconds),
            Check("redis", self._ask_redis, seconds),
        )

    async def report(self) -> Report:
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
        busy = self._pool_is_exhausted()
        async with self._connection() as connection:
            await connection.fetchval("SELECT 1")
        return Answer(BUSY if busy else UP)

    async def _ask_schema(self) -> Answer:
        async with self._connection() as connection:
            status = await read_status(connection, self._migrations)
        return Answer(CURRENT) if status.at_head else Answer(BEHIND, pending=len(status.pending))

    async def _ask_redis(self) -> Answer:
        await self._redis.ping()
        return Answer(UP)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a pooled connection, or one of our own while all are in use: busy is not away."""
        if not self._pool_is_exhausted():
            async with self._database.connection() as pooled:
                yield cast("asyncpg.Connection", pooled)  # the proxy passes every call on
            return
        connection = await asyncpg.connect(**self._options)
        try:
            yield connection
        finally:
            await connection.close(timeout=CHECK_SECONDS)

    def _pool_is_exhausted(self) -> bool:
        stats = self._database.pool_stats()
        return stats.in_use >= stats.max


def judge(findings: Mapping[str, Finding]) -> Report:
    """Weigh the findings: we can serve without Redis, but not without PostgreSQL and its schema at head."""
    if findings["postgresql"].status == DOWN or findings["schema"].status != CURRENT:
        return Report(State.UNAVAILABLE, findings)
    if findings["postgresql"].status == BUSY or findings["redis"].status == DOWN:
        return Report(State.DEGRADED, findings)
    return Report(State.READY, findings)
