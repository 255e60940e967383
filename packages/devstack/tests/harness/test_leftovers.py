"""What a killed run leaves is cleaned by the next, and nothing that lives or belongs to others is touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sherpa.devstack.harness import leftovers, session
from sherpa.devstack.harness import place as places
from sherpa.devstack.harness.session import PlaceBusyError, Session, place_lock

OWN = "own servers"
PASSES = "def test_passes(database_settings): pass"
WAITS = """
    import pathlib, time

    def test_waits(database_settings, redis_url):
        pathlib.Path("waiting").touch()
        time.sleep(100)
"""


def test_killed_runs_are_cleaned(suite: Any) -> None:
    """After kill -9 of a run and all its workers, the next run stops its servers and removes its files."""
    suite.write(test_it=WAITS)
    _kill_when_waiting(suite, "-n", "2")
    left = suite.sessions(), suite.processes()

    suite.write(test_it=PASSES)
    code, output = suite.run("-q")

    assert (1, 2) == (len(left[0]), len(left[1]))
    assert (0, [], []) == (code, suite.sessions(), suite.processes()), output


def test_servers_of_a_tests_own_are_stopped(suite: Any) -> None:
    """What a test has started for itself goes after its run was killed, also where a database was kept."""
    suite.write(
        test_it="""
        import pathlib, time
        from sherpa.devstack import ports
        from sherpa.devstack.embedded.arrangements import WatchedServers
        from sherpa.devstack.embedded.postgres import PostgresServer

        def test_keeps(database_settings):
            assert False

        def test_waits(own_folder):
            with own_folder() as folder:
                PostgresServer(folder / "postgres", ports.any_free(), "secret", "own", durable=False).start()
                WatchedServers(folder / "watched", "secret").start()
                pathlib.Path("waiting").touch()
                time.sleep(100)
        """
    )
    _kill_when_waiting(suite)
    servers = _own_servers(suite)

    suite.write(test_it=PASSES)
    code, output = suite.run("-q")

    assert ["data", "one", "sentinel", "two"] == servers
    assert (0, []) == (code, _own_servers(suite)), output


def test_killed_while_starting(suite: Any) -> None:
    """A run that was killed before its servers were known to anyone leaves nothing that stays either."""
    suite.write(test_it=WAITS)
    process = suite.start()
    while not list(suite.servers.glob("*/postgres/data/postmaster.pid")):
        time.sleep(0.001)
    _kill(process)

    suite.write(test_it=PASSES)
    code, output = suite.run("-q")

    assert (0, [], []) == (code, suite.sessions(), suite.processes()), output


def test_killed_servers_leave_only_files(suite: Any) -> None:
    """Where the servers were killed too, the files that they left don't stand in the way."""
    suite.write(test_it=WAITS)
    _kill_when_waiting(suite)
    for server in suite.processes():
        server.kill()

    suite.write(test_it=PASSES)
    code, output = suite.run("-q")

    assert (0, [], []) == (code, suite.sessions(), suite.processes()), output


def test_foreign_process_is_spared(suite: Any) -> None:
    """A pid in a leftover's pid file that is someone else's by now is left alone."""
    foreign = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    left = Session(suite.servers, "20200101-000000-1-dead")
    for server, file in (("postgres/data", "postmaster.pid"), ("valkey", "valkey.pid")):
        folder = left.directory / server
        folder.mkdir(parents=True)
        (folder / file).write_text(f"{foreign.pid}\n")

    leftovers.clean(suite.servers)

    assert ([], None) == (suite.sessions(), foreign.poll())
    foreign.kill()
    foreign.wait()


def test_living_run_is_spared(suite: Any) -> None:
    """A run that begins leaves another one's servers alone while it lives, however long it takes."""
    suite.write(test_it=WAITS)
    with suite.start() as living:
        _wait_for(suite.folder / "waiting")
        suite.write(test_other=PASSES)

        code, output = suite.run("-q", "test_other.py")

        assert (0, 1, 2) == (code, len(suite.sessions()), len(suite.processes())), output
        _kill(living)


def test_a_locked_place_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the lock for too long is no reason to wait for ever: the error says what to do."""
    monkeypatch.setattr(session, "BUSY_SECONDS", 0.05)

    with place_lock(tmp_path), pytest.raises(PlaceBusyError, match="fuser -v"), place_lock(tmp_path):
        pass


def test_nobody_else_can_hold_a_lock(place: Path) -> None:
    """Who can open a lock's file can keep us waiting: no other user can."""
    session = Session.new(place)
    with session.join(), session.lock():
        files = [place / "lock", session.directory / "lock", session.directory / "alive"]

        assert [0, 0, 0] == [file.stat().st_mode & 0o077 for file in files]


def test_a_strangers_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that someone else has made under our name is not trusted with data or passwords."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(places.UnsafePlaceError, match="belongs to another user"):
        places.claim(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    """Nor is a link to a folder of ours."""
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(places.UnsafePlaceError):
        places.claim(tmp_path / "link")


def test_memory_is_used_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in memory comes before the disk, wherever it has room for a session."""
    monkeypatch.setattr(places, "MEMORY", tmp_path)
    monkeypatch.setattr(places, "ROOM_BYTES", 1)

    assert tmp_path == places.choose().parent


def test_small_memory_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker gives a container 64 MB of shared memory: too little for a session."""
    monkeypatch.setattr(places, "ROOM_BYTES", 1 << 60)

    assert places.on_disk() == places.choose()


def _own_servers(suite: Any) -> list[str]:
    """Name the folders in which servers of a test's own run."""
    folders = (Path(each.info["cwd"] or "/") for each in psutil.process_iter(["cwd"]))
    return sorted({each.name for each in folders if each.is_relative_to(suite.servers) and OWN in each.parts})


def _kill_when_waiting(suite: Any, *arguments: str) -> None:
    process = suite.start(*arguments)
    _wait_for(suite.folder / "waiting")
    _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a run and its workers, which share its session; the servers have one of their own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    while any(_in_group(each, process.pid) for each in psutil.process_iter()):
        time.sleep(0.005)


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
