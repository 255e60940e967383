"""PostgreSQL and Redis come and go under a worker: it says so, and recovers by itself."""

import contextlib
import signal
from typing import Any

import psutil

LEADING = 'sherpa_events_relay_leader{partition="0"} 1.0'


def test_postgresql_killed_and_back(start: Any, servers: Any) -> None:
    """Unavailable while it is away, alive all the time, ready and leading again by itself."""
    worker = start(**servers.addresses).wait_until_metric(LEADING)

    servers.postgres.stop()
    away = worker.wait_until_state("unavailable")
    live = worker.ask("/health/live")
    servers.postgres.start()
    back = worker.wait_until_state("ready")

    assert (503, "down", "up") == (
        away.status,
        away.json["checks"]["postgresql"]["status"],
        away.json["checks"]["redis"]["status"],
    )
    assert [200, 200] == [live.status, back.status]
    worker.wait_until_metric(LEADING)


def test_redis_killed_and_back(start: Any, servers: Any) -> None:
    """Degraded, with 200, while it is away; ready again by itself."""
    worker = start(**servers.addresses)
    worker.wait_until_state("ready")

    servers.valkey.stop()
    away = worker.wait_until_state("degraded")
    servers.valkey.start()
    back = worker.wait_until_state("ready")

    assert (200, "up", "down") == (
        away.status,
        away.json["checks"]["postgresql"]["status"],
        away.json["checks"]["redis"]["status"],
    )
    assert 200 == back.status


def test_redis_away_at_the_start(start: Any, servers: Any) -> None:
    """A worker starts without Redis, and works as soon as it is there."""
    servers.valkey.stop()
    worker = start(**servers.addresses)
    worker.wait_until_state("degraded")

    servers.valkey.start()

    worker.wait_until_metric(LEADING)


def test_frozen_postgresql_holds_no_probe(start: Any, servers: Any) -> None:
    """A server that never answers counts as away; probes are answered all the same."""
    worker = start(**servers.addresses)
    worker.wait_until_state("ready")
    postmaster = psutil.Process(servers.postgres.start())
    family = [postmaster, *postmaster.children(recursive=True)]

    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        away = worker.wait_until_state("unavailable")
        live = worker.ask("/health/live")
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    assert ["down", 200] == [away.json["checks"]["postgresql"]["status"], live.status]
    assert 200 == worker.wait_until_state("ready").status


def test_a_killed_leader_is_replaced(start: Any, addresses: Any) -> None:
    """Of two workers that share the seats, the one that stays has them all when the other is killed."""
    one, two = start(**addresses), start(**addresses)
    for worker in (one, two):
        worker.wait_until_metric("sherpa_events_workers 2.0")

    one.signal(signal.SIGKILL)

    two.wait_until_metric("sherpa_events_workers 1.0").wait_until_metric(LEADING)


def test_a_paused_worker_is_replaced(start: Any, addresses: Any) -> None:
    """A worker that is stopped in its tracks loses its seats, and shares again once it goes on."""
    one, two = start(**addresses), start(**addresses)
    for worker in (one, two):
        worker.wait_until_metric("sherpa_events_workers 2.0")

    one.signal(signal.SIGSTOP)
    two.wait_until_metric("sherpa_events_workers 1.0").wait_until_metric(LEADING)
    one.signal(signal.SIGCONT)

    for worker in (one, two):
        worker.wait_until_metric("sherpa_events_workers 2.0")
