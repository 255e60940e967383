"""Processes that outlive us: started detached, found again by their own command line, never mistaken.

A pid alone proves nothing, since the system gives it out again. A process is ours when its command line says
so: the program's name and a marker (the data directory, the stack's identity) that no other process carries.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

POLL_SECONDS = 0.003
LOG_BYTES = 10_000_000
TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Marker:
    """How a process of ours is told from all others: its program, and some neighbouring arguments."""

    program: str
    arguments: tuple[str, ...]

    def matches(self, command: Sequence[str]) -> bool:
        """Whether this command line is the marked process's."""
        # macOS calls a framework's python "Python".
        if not command or not Path(command[0]).name.lower().startswith(self.program):
            return False
        width = len(self.arguments)
        return any(
            tuple(command[i : i + width]) == self.arguments for i in range(1, len(command) - width + 1)
        )


@dataclass(frozen=True)
class Spawn:
    """What to run, as whom and where.

    `user` is (uid, gid), with all other groups dropped, or None for ourselves. `feed` is given on standard
    input: the way for what must not stand on a command line.
    """

    command: Sequence[str]
    log: Path
    directory: Path
    environment: Mapping[str, str]
    user: tuple[int, int] | None = None
    feed: bytes = field(default=b"", repr=False)


# By pid. A child that is still referenced is neither reaped behind our back nor warned about.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(what: Spawn) -> psutil.Process:
    """Start a process in a session of its own, so that neither Ctrl-C nor our end reaches it.

    Its output is appended to the log, which has mode 0600 and is put aside as `.1` when it has grown big.
    Raises OSError when the process can't be started.
    """
    if size(what.log) > LOG_BYTES:
        what.log.replace(what.log.with_name(f"{what.log.name}.1"))
    uid, gid = what.user or (None, None)
    with what.log.open("ab") as log:
        what.log.chmod(0o600)
        child = subprocess.Popen(
            list(what.command),
            cwd=what.directory,
            env=dict(what.environment),
            stdin=subprocess.PIPE if what.feed else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
        )
    _children[child.pid] = child
    if child.stdin:
        _feed(child.stdin, what.feed)
    # A child of ours can't vanish before it is waited for, so this pid is still the child's.
    process = psutil.Process(child.pid)
    _await_command_line(process)
    return process


def _await_command_line(process: psutil.Process) -> None:
    """For some microseconds after exec, Linux shows no command line, and we could not recognise our own."""
    with contextlib.suppress(psutil.Error):
        while not process.cmdline() and not has_ended(process):
            time.sleep(POLL_SECONDS)


@atexit.register
def _leave_running() -> None:
    """Let what we started outlive us, without Popen's warning of each child that still runs."""
    for child in _children.values():
        child.returncode = child.poll() or 0


def _feed(pipe: IO[bytes], text: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(text)


def find(marker: Marker, *, hint: int | None = None) -> psutil.Process | None:
    """The running process that carries the marker. `hint` is a pid to look at first, which is far faster."""
    if hint is not None and (process := _matching(hint, marker)):
        return process
    # A server's own children may carry its command line: the one that started first is the server.
    found = [process for pid in psutil.pids() if (process := _matching(pid, marker))]
    return min(found, key=psutil.Process.create_time, default=None)


def _matching(pid: int, marker: Marker) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        # A zombie's command line is empty, so what has ended never matches.
        return process if marker.matches(process.cmdline()) else None
    except (psutil.Error, OSError):
        return None


def stop(process: psutil.Process, *signals: tuple[signal.Signals, float]) -> bool:
    """Send each signal in turn and wait so many seconds after it; say whether the process ended.

    psutil compares start times before it signals, so a pid that was given out again is never hit.
    """
    for number, seconds in signals:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        wake(process)
        if _await_end(process, seconds):
            return True
    return False


def wake(process: psutil.Process) -> None:
    """Let a process go on that was suspended (SIGSTOP, a debugger): until then it neither serves nor ends."""
    with contextlib.suppress(psutil.NoSuchProcess):
        # To one that isn't suspended it means nothing.
        process.resume()


def _await_end(process: psutil.Process, seconds: float) -> bool:
    """Not psutil's own wait: where nobody reaps (a container's pid 1 often doesn't), that waits for ever."""
    deadline = time.monotonic() + seconds
    while not has_ended(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def titled(beginning: str) -> list[psutil.Process]:
    """The processes that call themselves by a title of their own making which begins so."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if " ".join(process.cmdline()).startswith(beginning):
                found.append(process)
    return found


def working_in(folder: Path, programs: Collection[str]) -> list[psutil.Process]:
    """The processes of these programs that work in a folder, by whatever title; the oldest first."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.name() in programs and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return sorted(found, key=psutil.Process.create_time)


def listens(process: psutil.Process, port: int) -> bool:
    """Whether this process, or a child of it, listens on a TCP port; where we may not look, we believe it.

    Linux shows nothing of a process in its last moments, so ask afterwards whether it is still there.
    """
    try:
        family = (process, *process.children(recursive=True))
        sockets = [socket for each in family for socket in each.net_connections(kind="tcp")]
    except psutil.AccessDenied:
        return not has_ended(process)
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or only waits for its parent to notice."""
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    if not ended:
        return False
    # A process whose first thread is done counts as a zombie, while its last one may still hold the port:
    # of our own children we know better.
    child = _children.get(process.pid)
    return child is None or child.poll() is not None


def exit_code(process: psutil.Process) -> int | None:
    """How a child of this very process ended; None for one that still runs, and for any other's child."""
    child = _children.get(process.pid)
    return child.poll() if child else None


def read_pid(file: Path) -> int | None:
    """The pid on a file's first line; None when there is no such file or no such number."""
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def size(log: Path) -> int:
    """How much has been written to a log so far, in bytes."""
    return log.stat().st_size if log.exists() else 0


def tail(log: Path, *, offset: int = 0, lines: int = 15) -> str:
    """The last lines that were written to a log after an offset."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            # A log that was put aside meanwhile begins anew.
            file.seek(max(offset if offset <= end else 0, end - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
