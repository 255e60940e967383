"""A failed test's database is kept and named, with all that the test wrote, until its time is over."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sherpa.devstack.harness import __main__ as command
from sherpa.devstack.harness import leftovers
from sherpa.devstack.harness.session import Session
from sherpa.devstack.harness.worker import Worker

FAILS = """
    import pytest

    SEEN = "INSERT INTO processed_events (event_id, handler_name) VALUES (gen_random_uuid(), 'seen')"

    async def test_commits(connection):
        await connection.execute(SEEN)
        assert False

    async def test_rolls_back(rollback_connection):
        await rollback_connection.execute(SEEN)
        assert False

    @pytest.fixture
    async def broken(connection):
        await connection.execute(SEEN)
        raise RuntimeError("broken")

    def test_never_begins(broken): pass

    def test_passes(database_settings): pass
"""


@pytest.fixture(scope="module")
def failed_run(shared_suite: Any) -> str:
    """What pytest said of a run of two workers with three failed tests."""
    shared_suite.write(test_it=FAILS)
    _, output = shared_suite.run("-n", "2")
    return str(output)


@pytest.mark.parametrize("test", ["test_commits", "test_rolls_back", "test_never_begins"])
def test_printed_command_opens_it(test: str, failed_run: str) -> None:
    """What the test wrote is there: what it would have rolled back, and what a broken fixture wrote, too."""
    lines = [line.strip() for line in failed_run.splitlines()]
    commands = [after for name, after in pairwise(lines) if name == f"test_it.py::{test}"]

    seen = subprocess.run(
        f"{commands[-1]} --no-psqlrc -At -c 'SELECT handler_name FROM processed_events'",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "seen\n" == seen.stdout, seen.stderr + failed_run


def test_each_knows_its_test(failed_run: str, shared_suite: Any) -> None:
    """The list of databases in psql tells which test left which."""
    [session] = shared_suite.sessions()
    command = next(line.strip() for line in failed_run.splitlines() if "PGPASSFILE=" in line)

    listed = subprocess.run(
        f"{command} -c '\\l+'", shell=True, capture_output=True, text=True, check=True
    ).stdout

    tests = {mark.read_text() for mark in session.kept.iterdir()}
    assert {f"test_it.py::test_{name}" for name in ("commits", "rolls_back", "never_begins")} == tests
    assert tests == {test for test in tests if f"failed: {test}" in listed}


def test_the_password_is_not_printed(failed_run: str, shared_suite: Any) -> None:
    """The printed command takes the password from a file that only we can read."""
    [session] = shared_suite.sessions()
    file = session.directory / "pgpass"
    passwords = {line.rpartition(":")[2] for line in file.read_text().split()}

    assert (2, []) == (len(passwords), [each for each in passwords if each in failed_run])
    assert 0 == file.stat().st_mode & 0o077


@pytest.mark.parametrize("limit", [0, 2])
def test_no_more_are_kept_than_asked(limit: int, suite: Any) -> None:
    """The first failed tests' databases are kept, up to the limit; without any, the servers stop."""
    suite.write(test_it=FAILS)

    suite.run("-q", f"--keep-databases={limit}")

    assert limit == sum(len(list(session.kept.iterdir())) for session in suite.sessions())
    assert (limit > 0) == bool(suite.processes())


@pytest.fixture
def keep(suite: Any) -> Callable[[], Session]:
    """Return a function that makes a session which has ended and kept a database."""

    def make() -> Session:
        session = Session.new(suite.servers)
        worker = Worker(session, "main")
        worker.keep(worker.lend_empty(), "test_it.py::test_fails", limit=1)
        worker.close()
        leftovers.end(session)
        return session

    return make


def test_only_postgresql_stays(keep: Callable[[], Session], suite: Any) -> None:
    """For a kept database no Redis has to run."""
    keep()

    assert ["postgres"] == [Path(each.cmdline()[0]).name for each in suite.processes()]


def test_listed_and_dropped(
    keep: Callable[[], Session], suite: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """One command lists what was kept, another drops it, server and all."""
    session = keep()

    codes = [command.main([verb, str(suite.servers)]) for verb in ("list", "clean", "list")]

    assert [0, 0, 0] == codes
    assert [
        f"test_main_1: test_it.py::test_fails (in {session.directory})",
        "dropped test_main_1",
        "nothing is kept",
    ] == capsys.readouterr().out.splitlines()
    assert ([], []) == (suite.sessions(), suite.processes())


def test_wrong_use_of_the_command() -> None:
    """An unknown word is answered with what there is, and exit code 2."""
    program = [sys.executable, "-m", "sherpa.devstack.harness", "destroy"]

    ended = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (2, True) == (ended.returncode, "clean [FOLDER]" in ended.stderr)


def test_later_runs_make_room(
    keep: Callable[[], Session], suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the newest runs' databases stay."""
    monkeypatch.setattr(leftovers, "KEPT_SESSIONS", 1)
    monkeypatch.setattr(time, "strftime", lambda _: f"{len(suite.sessions())}")
    _, newest = keep(), keep()

    leftovers.clean(suite.servers)

    assert [newest] == suite.sessions()


def test_they_grow_old(keep: Callable[[], Session], suite: Any) -> None:
    """After a day nobody will look at a kept database any more."""
    session = keep()
    yesterday = time.time() - leftovers.KEPT_SECONDS - 60
    os.utime(session.kept, (yesterday, yesterday))

    leftovers.clean(suite.servers)

    assert ([], []) == (suite.sessions(), suite.processes())


def test_without_a_server_they_are_no_use(keep: Callable[[], Session], suite: Any) -> None:
    """A kept database that nobody can open any more is removed."""
    keep()
    for server in suite.processes():
        server.kill()
        server.wait()

    leftovers.clean(suite.servers)

    assert [] == suite.sessions()
