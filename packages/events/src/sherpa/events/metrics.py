"""What can be measured of events, for Prometheus: every instrument and its name, on a registry of its own.

Whoever counts asks once for the instruments of its partition or handler and keeps them: a label is looked up
when something starts, not for each event.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sherpa.events.latencies import Latencies, LatencyHistogram

_PREFIX = "sherpa_events_"
_HANDLING_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


@dataclass(frozen=True, slots=True)
class RelayMetrics:
    """One partition's relay. `leader`, `listening` and `paused` are 0 or 1; `term` rises with each leader."""

    published: Counter
    publish_latency: Latencies
    batch_size: Histogram
    failures: Counter
    recalled: Counter
    leader: Gauge
    term: Gauge
    listening: Gauge
    paused: Gauge


@dataclass(frozen=True, slots=True)
class HandlerMetrics:
    """One handler. `handled` counts events whose effect is committed; `seconds` measures one call of it."""

    handled: Counter
    seconds: Histogram
    retries: Counter
    duplicates: Counter
    dead_letters: Counter
    lost: Counter


class Metrics:
    """All instruments of one process. `registry` is what /metrics shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._relay()
        self._handling()
        self._sampled()

    def relay(self, partition: int) -> RelayMetrics:
        """Return the instruments of a partition's relay; its gauges stand at 0."""
        label = str(partition)
        return RelayMetrics(
            self._published.labels(label),
            self._publish_latency.labels(label),
            self._batch_size.labels(label),
            self._relay_failures.labels(label),
            self._recalled.labels(label),
            self._leader.labels(label),
            self._term.labels(label),
            self._listening.labels(label),
            self._paused.labels(label),
        )

    def handler(self, name: str) -> HandlerMetrics:
        """Return a handler's instruments."""
        return HandlerMetrics(
            self._handled.labels(name),
            self._handling_seconds.labels(name),
            self._retries.labels(name),
            self._duplicates.labels(name),
            self._dead_lettered.labels(name),
            self._lost.labels(name),
        )

    def _relay(self) -> None:
        partition = ["partition"]
        self._published = self._counter("published", "Events appended to the stream.", partition)
        self._publish_latency = LatencyHistogram(
            f"{_PREFIX}publish_latency_seconds",
            "From an event's creation to its append, by the database's clock and ours.",
            "partition",
            self.registry,
        )
        self._batch_size = Histogram(
            f"{_PREFIX}relay_batch_size",
            "Events appended at a time.",
            partition,
            buckets=_SIZE_BUCKETS,
            registry=self.registry,
        )
        self._relay_failures = self._counter("relay_failures", "Cycles of the relay that failed.", partition)
        self._recalled = self._counter(
            "recalled", "Events published again, for the broker had lost its data.", partition
        )
        self._leader = self._gauge("relay_leader", "1 where this process leads the partition.", partition)
        self._term = self._gauge(
            "relay_term", "The number of the relay's term, 0 when not leading.", partition
        )
        self._listening = self._gauge("relay_listening", "1 while notifications wake the relay.", partition)
        self._paused = self._gauge("relay_paused", "1 while the broker has no room for more.", partition)

    def _handling(self) -> None:
        handler = ["handler"]
        self._handled = self._counter("handled", "Events whose effect is committed.", handler)
        self._handling_seconds = Histogram(
            f"{_PREFIX}handling_seconds",
            "How long a call of the handler took, whether it succeeded or not.",
            handler,
            buckets=_HANDLING_BUCKETS,
            registry=self.registry,
        )
        self._retries = self._counter("retries", "Attempts after the first one.", handler)
        self._duplicates = self._counter("duplicates", "Events that had been handled before.", handler)
        self._dead_lettered = self._counter("dead_lettered", "Events given up, for an operator.", handler)
        self._lost = self._counter("lost", "Entries that were deleted before they were handled.", handler)

    def _sampled(self) -> None:
        """Make the gauges that a sampler sets every few seconds (`sherpa.worker.sampler`)."""
        group, partition = ["handler", "partition"], ["partition"]
        self.pending = self._gauge("outbox_pending", "Events waiting to be published.")
        self.oldest_pending_seconds = self._gauge(
            "outbox_oldest_pending_seconds", "Age of the oldest event that waits to be published."
        )
        self.dead_tuples = self._gauge("outbox_dead_tuples", "Dead rows of the outbox, not vacuumed yet.")
        self.last_vacuum = self._gauge(
            "outbox_last_vacuum_timestamp_seconds", "When the outbox was last vacuumed; 0: never."
        )
        self.stream_length = self._gauge("stream_length", "Entries in the stream.", partition)
        self.stream_memory = self._gauge("stream_memory_bytes", "Memory that the stream takes.", partition)
        self.broker_memory_share = self._gauge("broker_memory_share", "Used part of the broker's memory.")
        self.group_lag = self._gauge("group_lag", "Entries not delivered to the handler yet.", group)
        self.group_pending = self._gauge("group_pending", "Entries delivered and not done yet.", group)
        self.failed = self._gauge("failed", "Failed events that are kept.", ["handler", "status"])
        self.pool = self._gauge("pool_connections", "Connections to PostgreSQL, in use or idle.", ["state"])
        self.workers = self._gauge("workers", "Workers that share the seats.")
        self.seats = self._gauge("seats", "Seats of this process: partitions of a role.", ["role"])
        self.sampled_at = self._gauge("sampled_timestamp_seconds", "When the sampled gauges were last set.")

    def _counter(self, name: str, documentation: str, labels: list[str]) -> Counter:
        return Counter(f"{_PREFIX}{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"{_PREFIX}{name}", documentation, labels or (), registry=self.registry)
