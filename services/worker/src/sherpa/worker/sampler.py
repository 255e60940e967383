"""Sets the gauges that nobody counts as events pass: how the outbox, the streams and the pool stand."""

import time

from prometheus_client import Gauge

from sherpa.db.engine import Database
from sherpa.events.brokers.broker import Broker
from sherpa.events.figures import Figures, read_figures
from sherpa.events.metrics import Metrics


class Sampler:
    """Takes a sample of everything at each `sample()`."""

    def __init__(self, database: Database, broker: Broker, metrics: Metrics, *, partitions: int) -> None:
        self._database, self._broker, self._metrics = database, broker, metrics
        self._partitions = partitions

    async def sample(self) -> frozenset[int]:
        """Set every gauge, and return which partitions have streams.

        Raises what PostgreSQL or the broker raise: then the others stay as they were.
        """
        self._sample_pool()
        async with self._database.connection() as connection:
            self._set_outbox(await read_figures(connection))
        existing = await self._sample_broker()
        self._metrics.sampled_at.set(time.time())
        return existing

    def _sample_pool(self) -> None:
        stats = self._database.pool_stats()
        self._metrics.pool.labels("in_use").set(stats.in_use)
        self._metrics.pool.labels("idle").set(stats.idle)

    def _set_outbox(self, figures: Figures) -> None:
        metrics = self._metrics
        metrics.pending.set(figures.pending)
        metrics.oldest_pending_seconds.set(figures.oldest_pending_seconds)
        metrics.dead_tuples.set(figures.dead_tuples)
        metrics.last_vacuum.set(figures.vacuumed_at.timestamp() if figures.vacuumed_at else 0)
        metrics.failed.clear()  # whoever has no failed event any more has no row that says 0
        for (handler, status), number in figures.failed.items():
            metrics.failed.labels(handler, status).set(number)

    async def _sample_broker(self) -> frozenset[int]:
        metrics = self._metrics
        metrics.broker_memory_share.set(await self._broker.memory_share() or 0)
        existing = frozenset(await self._broker.partitions())
        for gauge in (metrics.group_lag, metrics.group_pending, metrics.stream_length, metrics.stream_memory):
            gauge.clear()
        for partition in sorted(existing.union(range(self._partitions))):
            state = await self._broker.state(partition)
            label = str(partition)
            metrics.stream_length.labels(label).set(state.length)
            metrics.stream_memory.labels(label).set(state.memory_bytes)
            for group in state.groups:
                _set(metrics.group_pending, group.name, label, group.pending)
                _set(metrics.group_lag, group.name, label, group.lag)
        return existing


def _set(gauge: Gauge, group: str, partition: str, value: int | None) -> None:
    if value is not None:  # the server can't always tell the lag; no value is better than a wrong one
        gauge.labels(group, partition).set(value)
