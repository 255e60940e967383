"""A process is ours when its own command line says so, and nothing else is ever stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sherpa.devstack import processes
from sherpa.devstack.processes import Marker, Spawn

SLEEP = "import time; time.sleep(60)"
IGNORE = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"


@pytest.fixture
def marker(tmp_path: Path) -> Marker:
    """A marker that only this test's processes carry."""
    return Marker("python", ("-X", f"test={tmp_path}"))


def spawn(marker: Marker, tmp_path: Path, code: str = SLEEP, *, feed: bytes = b"") -> psutil.Process:
    """Start a marked process."""
    command = [sys.executable, *marker.arguments, "-c", code]
    return processes.spawn(Spawn(command, tmp_path / "log", tmp_path, dict(os.environ), feed=feed))


@pytest.fixture
def running(marker: Marker, tmp_path: Path) -> Iterator[psutil.Process]:
    """A marked process."""
    process = spawn(marker, tmp_path)
    yield process
    processes.stop(process, (signal.SIGKILL, 10))


def test_found_by_its_marker(marker: Marker, running: psutil.Process) -> None:
    """It is found with a right hint, a wrong one and none."""
    found = [processes.find(marker, hint=hint) for hint in (running.pid, os.getpid(), None)]

    assert [process and process.pid for process in found] == [running.pid] * 3


def test_other_marker_finds_nothing(running: psutil.Process, tmp_path: Path) -> None:
    """A marker that begins the same isn't the same."""
    assert processes.find(Marker("python", ("-X", f"test={tmp_path}/other")), hint=running.pid) is None


def test_mention_is_no_match(marker: Marker, tmp_path: Path) -> None:
    """Another program whose arguments mention the marker isn't ours."""
    bystander = subprocess.Popen(["sh", "-c", "read line", *marker.arguments], stdin=subprocess.PIPE)

    found = processes.find(marker)

    bystander.communicate()
    assert found is None


def test_stop_ends_it(marker: Marker, running: psutil.Process) -> None:
    """A process that heeds the first signal is gone after it."""
    assert processes.stop(running, (signal.SIGTERM, 10))
    assert processes.find(marker) is None


def test_stop_goes_further(marker: Marker, tmp_path: Path) -> None:
    """A process that ignores a signal gets the next one."""
    stubborn = spawn(marker, tmp_path, IGNORE)
    while processes.size(tmp_path / "log") == 0:
        os.sched_yield()

    ended = processes.stop(stubborn, (signal.SIGTERM, 0.05), (signal.SIGKILL, 10))

    assert ended
    assert processes.find(marker) is None


def test_tells_how_a_child_of_ours_ended(marker: Marker, running: psutil.Process, tmp_path: Path) -> None:
    """A child's exit code is known once it ended; another's child has none for us."""
    ended = spawn(marker, tmp_path, "raise SystemExit(3)")
    while not processes.has_ended(ended):
        time.sleep(0.01)

    assert [processes.exit_code(each) for each in (ended, running, psutil.Process())] == [3, None, None]


def test_runs_apart_from_us(running: psutil.Process) -> None:
    """It leads a session of its own, so a Ctrl-C on our terminal isn't for it."""
    assert os.getsid(running.pid) == running.pid


def test_feed_reaches_standard_input(marker: Marker, tmp_path: Path) -> None:
    """What is fed arrives on standard input, and the log is private."""
    process = spawn(marker, tmp_path, "import sys; print(sys.stdin.read()[::-1])", feed=b"secret")

    processes.stop(process, (signal.SIGCONT, 10))

    assert processes.tail(tmp_path / "log") == "terces"
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_big_log_is_put_aside(marker: Marker, tmp_path: Path) -> None:
    """A log that has grown big is kept once, and the new one begins empty."""
    with (tmp_path / "log").open("wb") as log:
        log.truncate(processes.LOG_BYTES + 1)

    process = spawn(marker, tmp_path, "print('new')")

    processes.stop(process, (signal.SIGCONT, 10))
    assert (tmp_path / "log.1").stat().st_size == processes.LOG_BYTES + 1
    assert (tmp_path / "log").read_text() == "new\n"


def test_tail_begins_at_the_offset(tmp_path: Path) -> None:
    """Only what was written after the offset is shown, and of that the last lines."""
    log = tmp_path / "log"
    log.write_text("old\n" + "".join(f"{number}\n" for number in range(30)))

    assert processes.tail(log, offset=4, lines=2) == "28\n29"
    assert processes.tail(log, offset=10_000_000, lines=40).startswith("old")
    assert processes.tail(tmp_path / "none") == ""


@pytest.mark.parametrize("text", ["", "x\n", "-5\n", "0\n", "12 13\n", "\n1\n"])
def test_no_pid_is_none(tmp_path: Path, text: str) -> None:
    """A pid file that holds no pid gives none."""
    (tmp_path / "pid").write_text(text)

    assert processes.read_pid(tmp_path / "pid") is None


def test_ended_process_listens_to_nothing() -> None:
    """Of a process that isn't reaped yet, an ordinary user may see nothing: that is no yes."""
    child = subprocess.Popen(["true"])
    process = psutil.Process(child.pid)
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)

    listens = processes.listens(process, 80)

    child.wait()
    assert listens is False


OUTLIVED = """
import os, pathlib, sys
from sherpa.devstack.processes import Spawn, spawn

command = [sys.executable, "-c", "import time; time.sleep(60)"]
print(spawn(Spawn(command, pathlib.Path("log"), pathlib.Path(), os.environ)).pid)
"""


def test_outlives_its_starter_without_a_word(tmp_path: Path) -> None:
    """Whoever starts a server may end before it, and Python has nothing to warn of."""
    starter = subprocess.run(
        [sys.executable, "-W", "always", "-c", OUTLIVED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    outliving = psutil.Process(int(starter.stdout))
    outliving.kill()
    assert "" == starter.stderr
