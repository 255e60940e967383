"""A histogram that takes the durations of a whole batch at once, at a fraction of the client's cost."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class Latencies:
    """The durations of one label's events; `observe` is for one thread, reading for any."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: Sequence[float]) -> None:
        """Count so many durations. One below 0, of two clocks that differ, counts as the shortest."""
        counts = self._counts
        for duration in seconds:
            counts[bisect_left(BUCKETS_SECONDS, duration)] += 1
        self._sum += sum(seconds)

    def add_to(self, family: HistogramMetricFamily, label: str) -> None:
        """Write what was counted into the family, under the label's value."""
        bounds = [*map(floatToGoString, BUCKETS_SECONDS), "+Inf"]
        rising = accumulate(self._counts)
        family.add_metric([label], buckets=list(zip(bounds, rising, strict=True)), sum_value=self._sum)


class LatencyHistogram(Collector):
    """A histogram with one label, in the registry's output beside the client's own."""

    def __init__(self, name: str, documentation: str, label: str, registry: CollectorRegistry) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self._children: dict[str, Latencies] = {}
        registry.register(self)

    def labels(self, value: str) -> Latencies:
        """Return the label's durations; ask once, not for every batch."""
        return self._children.setdefault(value, Latencies())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the family, as the registry asks for it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        children: Iterable[tuple[str, Latencies]] = tuple(self._children.items())
        for value, latencies in children:
            latencies.add_to(family, value)
        yield family
