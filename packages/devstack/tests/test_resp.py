"""The few words of Redis' protocol are spoken right, to a real server and to what is none."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.resp import RedisConnection, RedisReplyError


@pytest.fixture
def connection(place: Path, port: int) -> Iterator[RedisConnection]:
    """A connection to a real server."""
    server = ValkeyServer(place / "valkey", port, durable=False)
    server.start()
    with RedisConnection("127.0.0.1", port) as connection:
        yield connection
    server.stop()


def test_speaks_every_kind_of_reply(connection: RedisConnection) -> None:
    """Simple texts, numbers, texts with line ends, nothing, lists in lists."""
    said = [
        connection.ask("SET", "a", "one\r\ntwo"),
        connection.ask("GET", "a"),
        connection.ask("GET", "b"),
        connection.ask("INCR", "n"),
        connection.ask("LRANGE", "none", "0", "-1"),
        connection.ask("EVAL", "return {1, {'x', false}}", "0"),
        connection.ask(b"ECHO", "\u00e9\u00e8".encode()),
    ]

    assert said == [b"OK", b"one\r\ntwo", None, 1, [], [1, [b"x", None]], "\u00e9\u00e8".encode()]


def test_error_leaves_the_connection_usable(connection: RedisConnection) -> None:
    """An error is raised with the server's words, and the next command works."""
    with pytest.raises(RedisReplyError, match="unknown command"):
        connection.ask("NONSENSE")

    assert connection.ask("PING") == b"PONG"


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"+PO", b"R"])
def test_other_protocols_are_a_broken_connection(port: int, words: bytes) -> None:
    """A server that speaks something else, or hangs up, is an OSError like any other silence."""
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(words)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError), RedisConnection("127.0.0.1", port) as connection:  # noqa: PT011  # any of them
            connection.ask("PING")
        thread.join()


def test_silent_server_times_out(port: int) -> None:
    """A server that takes a connection and says nothing is given up."""
    with (
        socket.create_server(("127.0.0.1", port)),
        RedisConnection("127.0.0.1", port, timeout=0.05) as connection,
        pytest.raises(TimeoutError),
    ):
        connection.ask("PING")
