"""How a worker stops: within its grace, whatever it is doing and however often it is told."""

import signal
from typing import Any

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well(start: Any, addresses: Any, number: signal.Signals) -> None:
    """A signal ends it with 0."""
    worker = start(**addresses)
    worker.wait_until_state("ready")

    worker.signal(number)

    assert (0, True) == (worker.exit_code(), worker.has_logged("stopped"))


def test_told_twice_it_hurries(start: Any, addresses: Any) -> None:
    """A second signal changes the exit code as little as the first."""
    worker = start(**addresses)
    worker.wait_until_state("ready")

    worker.signal().signal()

    assert 0 == worker.exit_code()


def test_told_before_postgresql_is_there(start: Any) -> None:
    """Waiting for PostgreSQL, it stops as well."""
    worker = start().wait_until_logged("database not ready")

    worker.signal()

    assert 0 == worker.exit_code()


def test_told_in_its_first_moments(start: Any) -> None:
    """Told while it loads, it ends with 0 and no traceback."""
    worker = start()

    worker.signal()

    assert worker.exit_code() in {0, -signal.SIGTERM}  # before Python itself has begun
    assert "Traceback" not in worker.text


def test_the_seats_are_free_at_once(start: Any, addresses: Any) -> None:
    """When the leader stops, another worker leads, without waiting for anything to expire."""
    first = start(**addresses).wait_until_metric('sherpa_events_relay_leader{partition="0"} 1.0')
    second = start(**addresses, WORKER_HANDLERS="none")
    second.wait_until_state("ready")

    first.signal()

    assert 0 == first.exit_code()
    second.wait_until_metric('sherpa_events_relay_leader{partition="0"} 1.0')
