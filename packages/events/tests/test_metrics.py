"""The instruments: each appears under its name and label, and a batch is counted as its events would be."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from sherpa.events.latencies import BUCKETS_SECONDS, LatencyHistogram
from sherpa.events.metrics import Metrics


def test_a_relay_counts_under_its_partition() -> None:
    """What a relay counts appears under its partition, and another's stays at 0."""
    metrics = Metrics()
    relay, other = metrics.relay(3), metrics.relay(4)

    relay.published.inc(500)
    relay.publish_latency.observe([0.002, 0.3])
    relay.leader.set(1)

    value = metrics.registry.get_sample_value
    assert (500, 0) == (
        value("sherpa_events_published_total", {"partition": "3"}),
        value("sherpa_events_published_total", {"partition": "4"}),
    )
    assert (2, 1) == (
        value("sherpa_events_publish_latency_seconds_count", {"partition": "3"}),
        value("sherpa_events_relay_leader", {"partition": "3"}),
    )
    assert other.published is metrics.relay(4).published


def test_a_handler_counts_under_its_name() -> None:
    """What a handler counts appears under its name."""
    metrics = Metrics()

    metrics.handler("welcome").retries.inc()
    metrics.handler("welcome").seconds.observe(0.02)

    value = metrics.registry.get_sample_value
    assert (1, 1) == (
        value("sherpa_events_retries_total", {"handler": "welcome"}),
        value("sherpa_events_handling_seconds_count", {"handler": "welcome"}),
    )


def test_two_processes_worth_of_metrics_share_nothing() -> None:
    """Each object has a registry of its own: two in a process are no clash."""
    one, two = Metrics(), Metrics()

    one.pending.set(7)

    assert (7, 0) == (
        one.registry.get_sample_value("sherpa_events_outbox_pending"),
        two.registry.get_sample_value("sherpa_events_outbox_pending"),
    )


def test_a_batch_is_counted_as_the_client_would() -> None:
    """Bounds, below, between and above: the text is the one that prometheus-client's own histogram writes."""
    durations = [-0.1, 0.0, 0.001, 0.0011, 0.25, 3.0, 600.0, 601.0]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    latencies = LatencyHistogram("x_seconds", "Time.", "partition", ours).labels("0")
    histogram = Histogram("x_seconds", "Time.", ["partition"], buckets=BUCKETS_SECONDS, registry=theirs)

    latencies.observe(durations[:3])
    latencies.observe(durations[3:])
    for duration in durations:
        histogram.labels("0").observe(duration)

    expected = [line for line in generate_latest(theirs).splitlines() if b"_created" not in line]
    assert expected == generate_latest(ours).splitlines()
