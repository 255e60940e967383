"""PostgreSQL from a wheel starts, is found again, recovers and stops, whatever happened to it."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.state import Condition
from sherpa.devstack.errors import ServerFailedError, UnusableDataError

PASSWORD = "right $'\" password"
# It counts without ever waiting, and so doesn't see that its postmaster is gone.
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b"
COUNTS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query = $1)"


@pytest.fixture
def server(place: Path, port: int) -> Iterator[PostgresServer]:
    """A server that was never started, and is stopped afterwards."""
    server = PostgresServer(place / "postgres", port, PASSWORD, "sherpa-test-1", durable=False)
    yield server
    server.stop()


async def connect(server: PostgresServer, *, password: str = PASSWORD) -> asyncpg.Connection:
    """Connect as a client does: over TCP, with a password."""
    return await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="sherpa", password=password, database="postgres"
    )


async def ask(server: PostgresServer, query: str) -> object:
    """The answer to one query on a connection of its own."""
    connection = await connect(server)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def kill(pid: int) -> None:
    """Kill -9, and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    process.wait(timeout=10)


async def test_answers_once_started(server: PostgresServer) -> None:
    """A started server answers a client at once, with its identity, as version 16."""
    server.start()

    answer = await ask(
        server, "SELECT current_setting('cluster_name') || current_setting('server_version_num')::int/10000"
    )

    assert answer == "sherpa-test-116"


async def test_refuses_wrong_password(server: PostgresServer) -> None:
    """A wrong password is refused, and the right one is stored as scram."""
    server.start()

    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(server, password="wrong")

    assert str(await ask(server, "SELECT rolpassword FROM pg_authid WHERE rolname = 'sherpa'")).startswith(
        "SCRAM-SHA-256"
    )


async def test_listens_on_loopback_only(server: PostgresServer) -> None:
    """The server has one listening socket, on 127.0.0.1, and no Unix socket."""
    pid = server.start()

    listening = [
        tuple(c.laddr) for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN
    ]

    assert listening == [("127.0.0.1", server.port)]
    assert await ask(server, "SHOW unix_socket_directories") == ""


async def test_tells_states_apart(server: PostgresServer) -> None:
    """Before, while and after it runs, the state says so."""
    before = server.state().condition
    pid = server.start()
    running = server.state()
    server.stop()

    assert before == Condition.ABSENT
    assert (running.condition, running.pid, running.port) == (Condition.RUNNING, pid, server.port)
    assert server.state().condition == Condition.STOPPED


async def test_second_start_finds_the_first(server: PostgresServer) -> None:
    """Starting what runs changes nothing."""
    first = server.start()

    assert server.start() == first


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM])
async def test_start_outlives_what_ends(server: PostgresServer, way: signal.Signals) -> None:
    """However one was told to end a moment ago: what start() returns is another one, and it serves."""
    for _ in range(3):
        ending = server.start()
        os.kill(ending, way)

        started = server.start()

        assert started != ending
        assert await ask(server, "SELECT 42") == 42


async def test_data_survives_a_stop(server: PostgresServer) -> None:
    """What was written before a stop is there after it."""
    server.start()
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()

    server.start()

    assert await ask(server, "SELECT answer FROM kept") == 42


async def test_recovers_from_kill(server: PostgresServer) -> None:
    """After kill -9 under a busy client (an orphan, a stale pid file) the server starts again."""
    pid = server.start()
    client, witness = await connect(server), await connect(server)
    busy = asyncio.create_task(client.fetchval(ENDLESS))
    while not await witness.fetchval(COUNTS, ENDLESS):
        assert not busy.done(), busy.exception()
    kill(pid)

    again = server.start()

    assert again != pid
    assert await ask(server, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await busy
    client.terminate()
    witness.terminate()


def test_stranger_with_the_old_pid_is_left_alone(server: PostgresServer) -> None:
    """A pid file that names another's process neither stops the start nor harms that process."""
    kill(server.start())
    stranger = subprocess.Popen(["sleep", "60"], user=owner_of(server))
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

    try:
        assert server.state().condition == Condition.STOPPED
        assert server.stop() is False
        server.start()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def owner_of(server: PostgresServer) -> int:
    """The user that the server's files belong to."""
    return server.data.stat().st_uid


@pytest.mark.parametrize("left", [b"", b"\xff\xfe\n", b"1\n"], ids=["empty", "garbage", "another's pid"])
def test_spoilt_pid_file_is_no_lost_server(server: PostgresServer, left: bytes) -> None:
    """A running server whose pid file doesn't name it any more is still seen, found and stopped."""
    pid = server.start()
    (server.data / "postmaster.pid").write_bytes(left)

    assert pid == server.state().pid
    assert server.stop() is True
    assert not psutil.pid_exists(pid)


def test_suspended_server_is_woken(server: PostgresServer) -> None:
    """A server that was suspended goes on at the next start, and can be stopped at once."""
    pid = server.start()
    os.kill(pid, signal.SIGSTOP)

    again = server.start()
    os.kill(pid, signal.SIGSTOP)

    assert pid == again
    assert server.stop() is True
    assert "received fast shutdown request" in server.log.read_text()
    assert "immediate shutdown" not in server.log.read_text()


async def test_lost_pid_file_is_no_lost_server(server: PostgresServer) -> None:
    """A running server whose pid file was deleted is still seen, found and stopped."""
    pid = server.start()
    (server.data / "postmaster.pid").unlink()

    assert pid == server.state().pid
    assert server.stop() is True
    assert not psutil.pid_exists(pid)


async def test_half_made_data_is_made_anew(server: PostgresServer) -> None:
    """What a killed initdb left is swept away, and the data directory is made whole."""
    current_account().make_private(server.directory)
    left = server.directory / "new-abcdef" / "data"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("16\n")

    server.start()

    assert await ask(server, "SELECT 1") == 1
    assert not left.exists()


def test_other_major_version_is_named(server: PostgresServer) -> None:
    """A data directory of PostgreSQL 15 is refused, saying so."""
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("15\n")

    with pytest.raises(UnusableDataError, match="written by PostgreSQL 15"):
        server.start()


def test_damaged_data_is_told(server: PostgresServer) -> None:
    """A data directory whose version was lost, as on a full disk, is told with the way out."""
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("")

    with pytest.raises(UnusableDataError, match=r"is damaged(.|\n)*begin anew: mv"):
        server.start()


def test_foreign_files_are_kept(server: PostgresServer) -> None:
    """A directory with something else in it is refused, and nothing in it is touched."""
    server.data.mkdir(parents=True)
    (server.data / "thesis.txt").write_text("years of work")

    with pytest.raises(UnusableDataError, match="no PostgreSQL data directory"):
        server.start()

    assert (server.data / "thesis.txt").read_text() == "years of work"


def test_taken_port_shows_the_log(server: PostgresServer) -> None:
    """A start that fails shows what the server said."""
    with (
        socket.create_server(("127.0.0.1", server.port)),
        pytest.raises(ServerFailedError, match="already in use"),
    ):
        server.start()


def test_keeps_its_data_private(server: PostgresServer) -> None:
    """Only the servers' user can read the data and the log, and no password stays in a file."""
    server.start()

    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600
    assert PASSWORD not in "".join(read_small(file) for file in server.directory.rglob("*") if file.is_file())


def read_small(file: Path) -> str:
    """A file's text, unless it is one of PostgreSQL's own big ones."""
    return "" if file.stat().st_size > 100_000 else file.read_bytes().decode(errors="replace")


def test_password_is_on_no_command_line(server: PostgresServer) -> None:
    """The process list doesn't show the password."""
    pid = server.start()

    assert PASSWORD not in " ".join(psutil.Process(pid).cmdline())


def test_survives_ctrl_c(server: PostgresServer) -> None:
    """The server is in a session of its own, so a terminal's Ctrl-C doesn't reach it."""
    pid = server.start()

    assert os.getsid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)


def test_stops_with_clients_connected(server: PostgresServer) -> None:
    """Open connections don't keep the server from stopping."""
    pid = server.start()

    async def hold_while_stopping() -> None:
        client = await connect(server)
        await asyncio.to_thread(server.stop)
        client.terminate()

    asyncio.run(hold_while_stopping())

    assert not psutil.pid_exists(pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")
def test_root_runs_it_as_nobody(server: PostgresServer) -> None:
    """As root the server runs as an unprivileged user, without root's groups."""
    pid = server.start()

    process = psutil.Process(pid)

    assert process.uids().real == process.uids().effective == 65534
    assert "Groups:\t \n" in Path(f"/proc/{pid}/status").read_text()


def test_sigterm_to_us_is_not_its_end(server: PostgresServer) -> None:
    """A server that was started by a process which dies goes on."""
    script = (
        "import sys; from pathlib import Path; from sherpa.devstack.embedded.postgres import PostgresServer;"
        "server = PostgresServer(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], 'own', durable=False);"
        "server.start(); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, server.directory, str(server.port), PASSWORD], check=False
    )

    assert ended.returncode == -signal.SIGKILL
    assert server.state().condition == Condition.RUNNING
