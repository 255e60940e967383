"""SIGTERM finishes what runs and exits 0 within the grace: the order of it, and what may get in the way."""

import signal
import socket
from typing import Any

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_process_exits_well(start_alone: Any, number: signal.Signals) -> None:
    """With nothing under way the lifespan is ended, and the exit code is 0."""
    served = start_alone()

    served.signal(number)

    assert 0 == served.exit_code()
    assert served.has_logged("lifespan ended")


def test_request_in_flight_is_finished(start_alone: Any) -> None:
    """A request that was under way gets its answer, and only then the process ends."""
    served = start_alone()

    with served.wire() as wire:
        wire.request("/sleep/0.5")
        served.wait_until_logged("sleeping")
        served.signal()
        answer = wire.answer()

    assert (200, b"slept", "close") == (answer.status, answer.body, answer.headers["connection"])
    assert 0 == served.exit_code()
    names = [event["event"] for event in served.events]
    assert names.index("slept") < names.index("lifespan ended")


def test_drain_says_no_before_it_does_no(start_alone: Any) -> None:
    """Not ready at once, still serving for the drain on old and new connections, then refusing."""
    served = start_alone(SHUTDOWN_DRAIN_SECONDS="600")

    with served.wire() as kept:
        kept.request("/sleep/0").answer()
        served.signal()
        served.wait_until_logged("told to stop")
        ready, live = served.ask("/health/ready"), served.ask("/health/live")
        new, old = served.ask("/sleep/0"), kept.request("/sleep/0").answer()
    served.signal()  # ends the drain
    code = served.exit_code()

    assert (503, {"status": "draining"}) == (ready.status, ready.json)
    assert [200, 200, 200] == [live.status, new.status, old.status]
    assert ["close", "close"] == [new.headers["connection"], old.headers["connection"]]
    assert 0 == code
    with pytest.raises(ConnectionRefusedError):
        served.ask("/health/live")


def test_port_is_closed_while_the_last_request_finishes(start_alone: Any) -> None:
    """After the drain nobody gets in any more, though the process is still at work."""
    served = start_alone()

    with served.wire() as wire:
        wire.request("/sleep/2")
        served.wait_until_logged("sleeping")
        served.signal()
        served.wait_until(lambda: is_refused(served.port), "refusal")
        answer = wire.answer()

    assert 200 == answer.status
    assert 0 == served.exit_code()


def is_refused(port: int) -> bool:
    """Tell whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_idle_kept_connection_is_closed(start_alone: Any) -> None:
    """A kept connection with nothing under way does not hold the process."""
    served = start_alone()

    with served.wire() as kept, served.wire() as silent:
        kept.request("/sleep/0").answer()
        served.signal()
        ends = [kept.rest(), silent.rest()]

    assert [b"", b""] == ends
    assert 0 == served.exit_code()


def test_request_beyond_the_grace_is_told_so(start_alone: Any) -> None:
    """What cannot finish gets a problem that says to come again, and the process still ends well."""
    served = start_alone(SHUTDOWN_GRACE_SECONDS="1")

    with served.wire() as wire:
        wire.request("/sleep/60")
        served.wait_until_logged("sleeping")
        served.signal()
        answer = wire.answer()

    assert (503, "urn:choice-sherpa:problem:shutting-down") == (answer.status, answer.json["type"])
    assert 0 == served.exit_code()
    assert served.has_logged("slept")
    assert served.has_logged("lifespan ended")


def test_second_signal_hurries(start_alone: Any) -> None:
    """Being told twice ends the drain and the wait for requests."""
    served = start_alone(SHUTDOWN_DRAIN_SECONDS="600", SHUTDOWN_GRACE_SECONDS="600")

    with served.wire() as wire:
        wire.request("/sleep/25")
        served.wait_until_logged("sleeping")
        served.signal()
        served.wait_until_logged("told to stop")
        served.signal()
        answer = wire.answer()

    assert 503 == answer.status
    assert 0 == served.exit_code()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_the_last_do_not_change_the_end(start_alone: Any, number: signal.Signals) -> None:
    """Being told again and again, until there is nobody to tell, is exit code 0 as well."""
    served = start_alone()

    while served.process.poll() is None:
        served.signal(number)

    assert 0 == served.exit_code()


def test_listener_that_ends_by_itself_ends_the_process(start_alone: Any) -> None:
    """A process that cannot be reached any more ends with exit code 1, so that it is started anew."""
    served = start_alone()

    with served.wire() as wire:
        wire.request("/stop-listening")
        code = served.exit_code()

    assert 1 == code
    assert served.has_logged("the listener ended by itself")
    assert served.has_logged("lifespan ended")


def test_request_that_refuses_to_end_is_left_behind(start_alone: Any) -> None:
    """Code that swallows its cancellation cannot keep the process beyond the grace."""
    served = start_alone(SHUTDOWN_GRACE_SECONDS="1")

    with served.wire() as wire:
        wire.request("/stubborn")
        served.wait_until_logged("refusing to end")
        served.signal()
        code = served.exit_code()

    assert 0 == code
    assert served.has_logged("lifespan ended")


def test_client_that_does_not_read_is_left_behind(start_alone: Any) -> None:
    """A client that takes nothing of its answer cannot keep the process beyond the grace."""
    served = start_alone(SHUTDOWN_GRACE_SECONDS="1")

    with served.wire() as wire:
        wire.request("/stream")
        served.wait_until_logged("streaming")
        served.signal()
        code = served.exit_code()

    assert 0 == code
    assert served.has_logged("lifespan ended")


def test_stopped_while_it_imports(start: Any, product: Any) -> None:
    """From its first lines on the process ends well when it is told to, with nothing to say."""
    served = start([*product[:1], "-X", "importtime", *product[1:]])
    served.wait_until(lambda: " starlette" in served.text, "the imports")

    served.signal()

    assert 0 == served.exit_code()
    assert "Traceback" not in served.text


def test_stopped_while_it_starts(start: Any) -> None:
    """A process that waits for PostgreSQL stops when it is told to, and ends well."""
    served = start().wait_until_logged("database not ready")

    served.signal()

    assert 0 == served.exit_code()
    assert not served.has_logged("serving")


def test_whole_product_stops_well(start: Any, addresses: dict[str, str], product: Any) -> None:
    """With everything open, too, the end is clean: no error and no warning is left in the log."""
    served = start(product, **addresses).wait_until_logged("serving")
    served.wait_until_state("ready")

    served.signal()

    assert 0 == served.exit_code()
    assert {"info"} == {event["level"] for event in served.events}
