"""Valkey from a wheel starts, is found again, recovers and stops, whatever happened to it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sherpa.devstack.embedded.state import Condition
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.resp import RedisConnection, RedisReplyError, Reply

PASSWORD = 'pass "word" \\ with #'


@pytest.fixture
def server(place: Path, port: int) -> Iterator[ValkeyServer]:
    """A server that was never started, and is stopped afterwards."""
    server = ValkeyServer(place / "valkey", port, PASSWORD, "sherpa-test-1")
    yield server
    server.stop()


def ask(server: ValkeyServer, *words: str) -> Reply:
    """The answer to one command on a connection of its own."""
    with RedisConnection("127.0.0.1", server.port, password=server.password) as connection:
        return connection.ask(*words)


def kill(pid: int) -> None:
    """Kill -9, and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    process.wait(timeout=10)


def test_answers_once_started(server: ValkeyServer) -> None:
    """A started server answers at once, and says whose it is."""
    server.start()

    assert ask(server, "PING") == b"PONG"
    assert ask(server, "CONFIG", "GET", "syslog-ident") == [b"syslog-ident", b"sherpa-test-1"]


def test_speaks_version_seven(server: ValkeyServer) -> None:
    """Clients see the protocol and the commands of Redis 7."""
    server.start()

    info = ask(server, "INFO", "server")

    assert isinstance(info, bytes)
    assert b"redis_version:7." in info


def test_refuses_without_password(server: ValkeyServer) -> None:
    """Nobody gets in without the password, or with a wrong one."""
    server.start()

    with (
        pytest.raises(RedisReplyError, match="NOAUTH"),
        RedisConnection("127.0.0.1", server.port) as connection,
    ):
        connection.ask("PING")
    with pytest.raises(RedisReplyError, match="WRONGPASS"):
        RedisConnection("127.0.0.1", server.port, password="wrong")


def test_password_shows_nowhere(server: ValkeyServer) -> None:
    """Neither the process list nor a file has the password."""
    pid = server.start()

    files = [file.read_bytes() for file in server.directory.rglob("*") if file.is_file()]

    assert PASSWORD not in " ".join(psutil.Process(pid).cmdline())
    assert not any(PASSWORD.encode() in content for content in files)


def test_needs_no_password(place: Path, port: int) -> None:
    """Without a password in the settings, the server asks for none."""
    server = ValkeyServer(place / "valkey", port, durable=False)

    server.start()

    assert ask(server, "PING") == b"PONG"
    server.stop()


def test_listens_on_loopback_only(server: ValkeyServer) -> None:
    """The server has one listening socket, on 127.0.0.1."""
    pid = server.start()

    listening = [
        tuple(c.laddr) for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]

    assert listening == [("127.0.0.1", server.port)]


def test_identity_survives_clients(server: ValkeyServer) -> None:
    """FLUSHALL leaves the identity alone, and CONFIG SET can't alter it."""
    server.start()

    ask(server, "FLUSHALL")
    with pytest.raises(RedisReplyError, match="immutable"):
        ask(server, "CONFIG", "SET", "syslog-ident", "other")

    assert ask(server, "CONFIG", "GET", "syslog-ident") == [b"syslog-ident", b"sherpa-test-1"]


def test_tells_states_apart(server: ValkeyServer) -> None:
    """Before, while and after it runs, the state says so."""
    before = server.state().condition
    pid = server.start()
    running = server.state()
    server.stop()

    assert before == Condition.ABSENT
    assert (running.condition, running.pid, running.port) == (Condition.RUNNING, pid, server.port)
    assert server.state().condition == Condition.STOPPED


def test_second_start_finds_the_first(server: ValkeyServer) -> None:
    """Starting what runs changes nothing."""
    first = server.start()

    assert server.start() == first


def test_data_survives_a_stop(server: ValkeyServer) -> None:
    """What was written before a stop is there after it."""
    server.start()
    ask(server, "SET", "kept", "42")
    server.stop()

    server.start()

    assert ask(server, "GET", "kept") == b"42"


def test_recovers_from_kill(server: ValkeyServer) -> None:
    """After kill -9 the state is stopped, and the next start works."""
    pid = server.start()
    kill(pid)

    stopped = server.state().condition
    server.start()

    assert stopped == Condition.STOPPED
    assert ask(server, "PING") == b"PONG"


def test_confirmed_data_survives_a_kill(server: ValkeyServer) -> None:
    """What a server has confirmed is there after kill -9: the streams hold events that nobody else sends."""
    pid = server.start()
    ask(server, "SET", "kept", "42")
    kill(pid)

    server.start()

    assert ask(server, "GET", "kept") == b"42"


def test_older_snapshot_is_loaded(place: Path, port: int) -> None:
    """Data that was kept as a snapshot alone, before servers appended, is still there."""
    older = ValkeyServer(place / "valkey", port, options={"appendonly": "no"})
    older.start()
    ask(older, "SET", "kept", "42")
    older.stop()
    server = ValkeyServer(place / "valkey", port)

    server.start()

    try:
        assert ask(server, "GET", "kept") == b"42"
    finally:
        server.stop()


def test_dying_server_is_not_taken_for_a_living_one(server: ValkeyServer) -> None:
    """A start in the very moment of a kill -9 ends with a server that answers."""
    pid = server.start()
    os.kill(pid, signal.SIGKILL)

    again = server.start()

    assert pid != again
    assert b"PONG" == ask(server, "PING")


def test_suspended_server_is_woken(server: ValkeyServer) -> None:
    """A server that was suspended goes on at the next start, and can be stopped at once."""
    pid = server.start()
    os.kill(pid, signal.SIGSTOP)

    again = server.start()
    os.kill(pid, signal.SIGSTOP)

    assert pid == again
    assert server.stop() is True
    assert "Saving the final RDB snapshot" in server.log.read_text()


def test_lost_pid_file_is_no_lost_server(server: ValkeyServer) -> None:
    """A running server whose pid file was deleted is still seen, found and stopped."""
    pid = server.start()
    (server.directory / "valkey.pid").unlink()

    assert pid == server.state().pid
    assert pid == server.start()
    assert server.stop() is True
    assert not psutil.pid_exists(pid)


def test_taken_port_shows_the_log(server: ValkeyServer) -> None:
    """A start that fails shows what the server said."""
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(ServerFailedError, match="in use"):
        server.start()
