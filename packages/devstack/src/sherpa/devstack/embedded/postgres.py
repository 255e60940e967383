"""One PostgreSQL server in one directory: made, started, described and stopped, whatever happened to it.

It listens on 127.0.0.1 only, asks for a password (scram), and has no Unix socket. Only a process whose
command line names this very data directory is ever taken for it.
"""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sherpa.devstack import processes
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.embedded.binaries import postgres_binaries
from sherpa.devstack.embedded.cluster import create_cluster, require_usable
from sherpa.devstack.embedded.handshake import answers
from sherpa.devstack.embedded.state import Condition, ServerState
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.processes import Marker, Spawn

SUPERUSER = "sherpa"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
ORPHAN_SECONDS = 10.0
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL 16 with one superuser; data in `directory`/data, log in `directory`/postgres.log.

    `cluster_name` is its identity, which every client can ask for. `options` are server settings. A server
    that isn't durable trades safety in a power cut for speed.
    """

    directory: Path
    port: int
    password: str = field(repr=False)
    cluster_name: str
    options: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True
    superuser: str = SUPERUSER

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self.directory / "postgres.log"

    def initialise(self) -> bool:
        """Make the data directory if there is none; say whether it was made. A half-made one is made anew.

        Raises UnusableDataError, UnusableAccountError, MissingLibraryError or ServerFailedError.
        """
        if require_usable(self.data):
            return False
        current_account().make_private(self.directory)
        create_cluster(self.data, postgres_binaries(), self.superuser, self.password, durable=self.durable)
        return True

    def start(self) -> int:
        """Start the server, or find it running already; return its pid once it accepts connections.

        One that is about to end is waited for, and whatever it leaves behind (pid file, orphaned backends) is
        dealt with. Raises ServerFailedError with the end of the log, and what `initialise` raises.
        """
        self.initialise()
        offset = processes.size(self.log)
        process = self._find_serving(offset)
        if process is None:
            self._clear_remains()
            process = self._launch()
            self._await_ready(process, offset)
        return process.pid

    def stop(self) -> bool:
        """Stop the server, open connections or not; return once it is gone. False: it wasn't running."""
        process = self._process()
        if process is None:
            return False
        if not processes.stop(process, (signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, STOP_SECONDS)):
            raise ServerFailedError(
                f"PostgreSQL (pid {process.pid}) does not stop.", remedy=f"Look at its log: {self.log}"
            )
        return True

    def state(self) -> ServerState:
        """What is there now, without connecting."""
        if not (self.data / "PG_VERSION").exists():
            return ServerState(Condition.ABSENT)
        process = self._process()
        if process is None:
            return ServerState(Condition.STOPPED)
        lines = self._pid_lines()
        condition = Condition.RUNNING if _is_ready(lines, process.pid) else Condition.STARTING
        return ServerState(condition, process.pid, _port(lines), process.create_time())

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def _marker(self) -> Marker:
        return Marker("postgres", ("-D", str(self.data)))

    def _pid_lines(self) -> list[str]:
        try:
            return self._pid_file.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            return []

    def _process(self) -> psutil.Process | None:
        """Our postmaster, by its pid file or, where that is gone or wrong, by looking at every process."""
        return processes.find(self._marker, hint=processes.read_pid(self._pid_file))

    def _find_serving(self, offset: int) -> psutil.Process | None:
        """Our postmaster once it serves; None where there is none, or it ends instead."""
        process = self._process()
        if process is None:
            return None
        processes.wake(process)
        deadline = time.monotonic() + START_SECONDS
        while not processes.has_ended(process):
            # In this order: one that was told to stop, however recently, notes that before it answers.
            if self._answers() and _is_ready(self._pid_lines(), process.pid):
                return process
            if time.monotonic() > deadline:
                raise self._failure(offset, f"PostgreSQL (pid {process.pid}) neither serves nor ends")
            time.sleep(processes.POLL_SECONDS)
        return None

    def _answers(self) -> bool:
        """Whether the postmaster lives: a killed one is listed for a moment, and its files stay."""
        port = _port(self._pid_lines())
        return port is not None and answers(port)

    def _launch(self) -> psutil.Process:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "cluster_name": self.cluster_name,
            **({} if self.durable else NOT_DURABLE),
            **self.options,
        }
        command = [str(postgres_binaries().program("postgres")), *self._marker.arguments]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return processes.spawn(
            Spawn(
                command,
                log=self.log,
                directory=self.directory,
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                user=current_account().switch,
            )
        )

    def _await_ready(self, process: psutil.Process, offset: int) -> None:
        """Wait for the line that the server writes to its pid file; polling costs 3 ms, pg_ctl's way 100."""
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(self._pid_lines(), process.pid):
            if processes.has_ended(process):
                raise self._failure(offset, "PostgreSQL did not start")
            if time.monotonic() > deadline:
                raise self._failure(
                    offset, f"PostgreSQL (pid {process.pid}) is not ready after {START_SECONDS:.0f} s"
                )
            time.sleep(processes.POLL_SECONDS)

    def _failure(self, offset: int, what: str) -> ServerFailedError:
        words = processes.tail(self.log, offset=offset)
        return ServerFailedError(f"{what}:\n{words}", remedy=f"The whole log: {self.log}")

    def _clear_remains(self) -> None:
        """Deal with what a killed server left: orphaned backends, and a pid file whose pid is another's."""
        pid = processes.read_pid(self._pid_file)
        if pid is None:
            return
        for orphan in self._orphans():
            # A backend ends by itself when it sees its postmaster gone; one that is busy needs telling.
            processes.stop(orphan, (signal.SIGQUIT, ORPHAN_SECONDS), (signal.SIGKILL, ORPHAN_SECONDS))
        if psutil.pid_exists(pid):
            # PostgreSQL takes any live process with this pid for itself, and refuses to start.
            self._pid_file.unlink(missing_ok=True)

    def _orphans(self) -> list[psutil.Process]:
        title = f"postgres: {self.cluster_name}: "
        return [process for process in processes.titled(title) if not _has_postmaster(process)]


def _has_postmaster(process: psutil.Process) -> bool:
    try:
        parent = process.parent()
        return parent is not None and parent.name() == "postgres"
    except psutil.Error:
        return False


def _is_ready(pid_lines: list[str], pid: int) -> bool:
    return len(pid_lines) > 7 and pid_lines[0] == str(pid) and pid_lines[7].strip() == "ready"


def _port(pid_lines: list[str]) -> int | None:
    return int(pid_lines[3]) if len(pid_lines) > 3 and pid_lines[3].isdigit() else None
