"""The HTTP side: answers whatever other clients do, and says why it can't listen."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from sherpa.events.metrics import Metrics
from sherpa.worker import listener as listening
from sherpa.worker.answers import Answers
from sherpa.worker.errors import StartupError
from sherpa.worker.listener import Listener
from sherpa.worker.vitals import Vitals

PATIENCE = 30.0


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A listener of little patience for few clients."""
    monkeypatch.setattr(listening, "CLIENT_SECONDS", 1.0)
    monkeypatch.setattr(listening, "MOST_CLIENTS", 4)
    made = Listener("127.0.0.1", 0, Answers(Vitals(), Metrics().registry))
    with made.serving():
        yield made


def port_of(listener: Listener) -> int:
    """Where it listens."""
    return int(listener.address.rpartition(":")[2])


def ask(listener: Listener, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port_of(listener), timeout=PATIENCE)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def connect(listener: Listener) -> socket.socket:
    """Open a connection and say nothing."""
    return socket.create_connection(("127.0.0.1", port_of(listener)), timeout=PATIENCE)


def test_get_and_head(listener: Listener) -> None:
    """HEAD is GET without the body; another method is refused."""
    assert [(200, b'{"status":"alive"}'), (200, b"")] == [
        ask(listener, "/health/live", method) for method in ("GET", "HEAD")
    ]
    assert 501 == ask(listener, "/health/live", "POST")[0]


def test_a_silent_client_holds_nobody(listener: Listener) -> None:
    """While some clients say nothing, others are answered; then the silent ones are cut off."""
    with ExitStack() as clients:
        silent = [clients.enter_context(connect(listener)) for _ in range(3)]

        assert 200 == ask(listener, "/health/live")[0]
        assert [b"", b"", b""] == [client.recv(100) for client in silent]


def drip(client: socket.socket) -> None:
    """Send a request byte by byte, for longer than anyone has patience."""
    for byte in b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 1_000:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def test_a_dripping_client_is_cut_off(listener: Listener) -> None:
    """A client that sends a byte now and then has no more time in all than another."""
    with connect(listener) as client, pytest.raises((ConnectionResetError, BrokenPipeError)):
        drip(client)


def test_too_many_clients_are_hung_up_on(listener: Listener) -> None:
    """One client too many is hung up on at once; when others have left, there is room again."""
    with ExitStack() as clients:
        held = [clients.enter_context(connect(listener)) for _ in range(5)]
        assert b"" == held[-1].recv(100)

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            assert 200 == ask(listener, "/health/live")[0]
        except OSError:
            continue
        return
    pytest.fail("nobody is let in any more")


def test_nonsense_is_a_bad_request(listener: Listener) -> None:
    """What is no HTTP gets 400, and the next client its answer."""
    with connect(listener) as client:
        client.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        said = client.recv(1_000)

    assert b"400" in said
    assert 200 == ask(listener, "/health/live")[0]


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", "set WORKER_PORT to a free one"), ("192.0.2.1", "WORKER_HOST is 192.0.2.1")],
)
def test_why_it_cannot_listen(listener: Listener, host: str, words: str) -> None:
    """The error names the variable to change."""
    with pytest.raises(StartupError, match=words):
        Listener(host, port_of(listener), Answers(Vitals(), Metrics().registry))
