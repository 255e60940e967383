"""PostgreSQL and Redis come and go under a process that serves: it says so, and recovers by itself."""

import asyncio
import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from sherpa.config import DatabaseSettings, ServiceUrl
from sherpa.db.migrations.runner import migrate, revert


def test_postgresql_killed_and_back(start: Any, product: Any, servers: Any) -> None:
    """Unavailable while it is away, alive all the time, ready again by itself."""
    served = start(product, **servers.addresses)
    served.wait_until_state("ready")

    servers.postgres.stop()
    away = served.wait_until_state("unavailable")
    live = served.ask("/health/live")
    servers.postgres.start()
    back = served.wait_until_state("ready")

    assert (503, "down", "up") == (
        away.status,
        away.json["checks"]["postgresql"]["status"],
        away.json["checks"]["redis"]["status"],
    )
    assert [200, 200] == [live.status, back.status]


def test_frozen_postgresql_does_not_hold_probes(start: Any, product: Any, servers: Any) -> None:
    """A server that never answers counts as away; probes are answered in time and don't pile up."""
    served = start(product, **servers.addresses, DATABASE_MAX_CONNECTIONS="5", DATABASE_MIN_CONNECTIONS="2")
    served.wait_until_state("ready")
    postmaster = psutil.Process(servers.postgres.start())
    family = [postmaster, *postmaster.children(recursive=True)]

    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        with ThreadPoolExecutor(30) as probes:
            answers = list(probes.map(served.ask, ["/health/ready"] * 60))
    finally:
        for process in family:
            # One that was ending when it was frozen is gone as soon as the postmaster sees it.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    assert {(503, "down")} == {
        (answer.status, answer.json["checks"]["postgresql"]["status"]) for answer in answers
    }
    assert 200 == served.wait_until_state("ready").status


def test_redis_killed_and_back(start: Any, product: Any, servers: Any) -> None:
    """Degraded, with 200, while it is away; ready again by itself."""
    served = start(product, **servers.addresses)
    served.wait_until_state("ready")

    psutil.Process(servers.valkey.start()).send_signal(signal.SIGKILL)
    away = served.wait_until_state("degraded")
    servers.valkey.start()
    back = served.wait_until_state("ready")

    assert (200, "up", "down") == (
        away.status,
        away.json["checks"]["postgresql"]["status"],
        away.json["checks"]["redis"]["status"],
    )
    assert 200 == back.status


def test_postgresql_that_comes_late_is_waited_for(start: Any, product: Any, servers: Any) -> None:
    """A process started before its database serves as soon as that does."""
    servers.postgres.stop()
    served = start(product, **servers.addresses).wait_until_logged("database not ready")

    servers.postgres.start()

    assert 200 == served.wait_until_state("ready").status


def test_schema_behind_is_not_ready(start: Any, product: Any, servers: Any) -> None:
    """A database that lacks a migration of the code's cannot be served from; applying it is noticed."""
    served = start(product, **servers.addresses)
    served.wait_until_state("ready")
    settings = DatabaseSettings(url=ServiceUrl.parse(servers.addresses["DATABASE_URL"]))

    asyncio.run(revert(settings, steps=1))
    behind = served.wait_until_state("unavailable")
    asyncio.run(migrate(settings))
    head = served.wait_until_state("ready")

    assert (503, "behind", 1) == (
        behind.status,
        behind.json["checks"]["schema"]["status"],
        behind.json["checks"]["schema"]["pending"],
    )
    assert "current" == head.json["checks"]["schema"]["status"]


def test_exhausted_pool_is_busy_not_away(start: Any, servers: Any) -> None:
    """With every connection at work the process is degraded, not taken out; probes don't queue for one."""
    served = start(**servers.addresses, DATABASE_MAX_CONNECTIONS="3", DATABASE_MIN_CONNECTIONS="1")
    served.wait_until_state("ready")

    with served.wire() as wire:
        wire.request("/hold")
        busy = served.wait_until_state("degraded")
        served.ask("/release")
        held = wire.answer()

    assert (200, "busy", "current") == (
        busy.status,
        busy.json["checks"]["postgresql"]["status"],
        busy.json["checks"]["schema"]["status"],
    )
    assert b"held" == held.body
    assert 200 == served.wait_until_state("ready").status


def test_change_of_readiness_is_logged_once(start: Any, product: Any, servers: Any) -> None:
    """Each change is one line, however often it is asked; secrets and hosts stay out of the answers."""
    served = start(product, **servers.addresses)
    served.wait_until_state("ready")
    servers.valkey.stop()
    bodies = [served.wait_until_state("degraded").body for _ in range(5)]

    changes = [
        (event["before"], event["now"]) for event in served.events if event["event"] == "readiness changed"
    ]
    assert [(None, "ready"), ("ready", "degraded")] == changes
    assert not any(b"127.0.0.1" in body or b"Error" in body for body in bodies)
