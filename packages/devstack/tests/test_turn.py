"""One command at a time changes a checkout's stack."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sherpa.devstack.errors import StackError
from sherpa.devstack.turn import turn

HOLD = """
import sys, time
from pathlib import Path
from sherpa.devstack.turn import turn
with turn(Path(sys.argv[1]), print):
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process whose turn it is."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "mine\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill -9."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_waits_and_says_for_whom(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Whoever comes second is told the holder's pid, and is let in when the holder ends, however it ends."""
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        end(holder)

    with turn(tmp_path, say, wait_seconds=30):
        entered = True

    assert entered
    assert said == [f"another inv command (pid {holder.pid}) works on this stack: waiting for it"]


def test_gives_up_in_the_end(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """A wait that is too long ends with an error that names the holder."""
    with pytest.raises(StackError, match=f"pid {holder.pid}"), turn(tmp_path, print, wait_seconds=0.1):
        pass

    end(holder)


def test_can_be_taken_again(tmp_path: Path) -> None:
    """A turn that ended with an error is over."""
    with pytest.raises(ZeroDivisionError), turn(tmp_path, print):
        raise ZeroDivisionError

    with turn(tmp_path, pytest.fail, wait_seconds=1):
        entered = True

    assert entered


def test_started_processes_do_not_inherit_it(tmp_path: Path) -> None:
    """A server that was started during a turn doesn't hold it."""
    with turn(tmp_path, print):
        server = subprocess.Popen(["sleep", "60"])

    with turn(tmp_path, pytest.fail, wait_seconds=1):
        entered = True

    server.kill()
    server.wait()
    assert entered


def test_foreign_state_is_named(tmp_path: Path) -> None:
    """A state folder that can't be used is named, with what to do."""
    (tmp_path / ".sherpa").write_text("a file, where a folder should be")

    with pytest.raises(StackError, match=r"\.sherpa"), turn(tmp_path, print):
        pass
