"""One Valkey server (Redis 7's protocol) in one directory: started, described and stopped, whatever happened.

It listens on 127.0.0.1 only. Its password reaches it over a pipe: neither process list nor disk has it.
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
from sherpa.devstack.embedded.binaries import valkey_binary
from sherpa.devstack.embedded.state import Condition, ServerState
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.processes import Marker, Spawn
from sherpa.devstack.resp import RedisConnection, RedisReplyError

START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class ValkeyServer:
    """A Valkey with its snapshot and its log in `directory`.

    `identity` is what clients read with `CONFIG GET syslog-ident`: a setting that changes nothing while
    syslog is off, that no client can alter, and that FLUSHALL leaves alone. A durable server keeps its data
    when it is stopped, and what it has confirmed when it is killed.
    """

    directory: Path
    port: int
    password: str | None = field(default=None, repr=False)
    identity: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self.directory / "valkey.log"

    def initialise(self) -> bool:
        """Make the directory if there is none; say whether it was made."""
        made = not self.directory.exists()
        current_account().make_private(self.directory)
        return made

    def start(self) -> int:
        """Start the server, or find it running already; return its pid once it answers PING.

        One that is about to end is waited for. Raises ServerFailedError with the end of the log.
        """
        self.initialise()
        offset = processes.size(self.log)
        process = self._process()
        if process is None or not self._comes_to_serve(process, offset):
            process = self._launch()
            if not self._comes_to_serve(process, offset):
                raise self._failure(offset, "Valkey did not start")
        return process.pid

    def stop(self) -> bool:
        """Stop the server, saving its data when it is durable. False: it wasn't running."""
        process = self._process()
        if process is None:
            return False
        if not processes.stop(process, (signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            raise ServerFailedError(
                f"Valkey (pid {process.pid}) does not stop.", remedy=f"Look at its log: {self.log}"
            )
        return True

    def state(self) -> ServerState:
        """What is there now."""
        if not self.log.exists():
            return ServerState(Condition.ABSENT)
        process = self._process()
        if process is None:
            return ServerState(Condition.STOPPED)
        condition = Condition.RUNNING if self._answers() else Condition.STARTING
        return ServerState(condition, process.pid, self._port_of(process), process.create_time())

    @property
    def _pid_file(self) -> Path:
        return self.directory / "valkey.pid"

    @property
    def _marker(self) -> Marker:
        return Marker("valkey-server", ("--dir", str(self.directory)))

    def _process(self) -> psutil.Process | None:
        return processes.find(self._marker, hint=processes.read_pid(self._pid_file))

    def _launch(self) -> psutil.Process:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "pidfile": str(self._pid_file),
            # The command line stays as it is: it is what the process is known by.
            "set-proc-title": "no",
            # A disk that is full must not keep the server from ending.
            "shutdown-on-sigterm": "force",
            **({"syslog-ident": self.identity} if self.identity else {}),
            **self._persistence(),
            **self.options,
        }
        command = [str(valkey_binary()), "-", *self._marker.arguments]
        for name, value in settings.items():
            command += [f"--{name}", value]
        return processes.spawn(
            Spawn(
                command,
                log=self.log,
                directory=self.directory,
                environment={"PATH": os.defpath, "LC_ALL": "C"},
                user=current_account().switch,
                feed=self._secrets(),
            )
        )

    def _persistence(self) -> Mapping[str, str]:
        if not self.durable:
            return {"save": "", "appendonly": "no"}
        # PostgreSQL marks as published what the streams have, so a killed server must lose nothing. One that
        # appends doesn't load a snapshot: what an older checkout has left goes on as it was.
        has_snapshot_alone = (self.directory / "dump.rdb").exists() and not (
            self.directory / "appendonlydir"
        ).exists()
        return {"appendonly": "no" if has_snapshot_alone else "yes"}

    def _secrets(self) -> bytes:
        if not self.password:
            return b"\n"
        quoted = self.password.replace("\\", "\\\\").replace('"', '\\"')
        return f'requirepass "{quoted}"\n'.encode()

    def _comes_to_serve(self, process: psutil.Process, offset: int) -> bool:
        """Wait until the server answers; False when it ends instead."""
        processes.wake(process)
        deadline = time.monotonic() + START_SECONDS
        while not processes.has_ended(process):
            # Who answers may be someone else, who has the port.
            if self._answers() and processes.listens(process, self.port):
                return True
            if time.monotonic() > deadline:
                raise self._failure(
                    offset, f"Valkey (pid {process.pid}) is not ready after {START_SECONDS:.0f} s"
                )
            time.sleep(processes.POLL_SECONDS)
        return False

    def _failure(self, offset: int, what: str) -> ServerFailedError:
        words = processes.tail(self.log, offset=offset)
        return ServerFailedError(f"{what}:\n{words}", remedy=f"The whole log: {self.log}")

    def _answers(self) -> bool:
        try:
            with RedisConnection("127.0.0.1", self.port, password=self.password or None) as connection:
                return connection.ask("PING") == b"PONG"
        except (OSError, RedisReplyError):
            return False

    def _port_of(self, process: psutil.Process) -> int | None:
        command = process.cmdline()
        return int(command[command.index("--port") + 1]) if "--port" in command else None
