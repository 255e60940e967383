"""The API and the worker as background processes of the stack: started, found again, stopped."""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from sherpa.devstack import envfile, processes
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.ownership import app_conflict, require_none
from sherpa.devstack.probe import AppAnswer, ask_app
from sherpa.devstack.processes import Marker, Spawn
from sherpa.devstack.progress import Progress
from sherpa.devstack.stack import TITLES, Service, Stack, identity_of, state_directory

START_SECONDS = 30.0
EXIT_PORT_TAKEN = 3
"""With what the API and the worker say that someone else had their port."""
POLL_SECONDS = 0.02
KILL_SECONDS = 5.0


class AppProcess:
    """A process of one checkout. Its command line carries the stack's identity, by which it is known."""

    def __init__(self, root: Path, app: Service) -> None:
        self._root = root
        self.app = app
        self.title = TITLES[app]
        self._offset = 0
        self._started: psutil.Process | None = None

    @property
    def log(self) -> Path:
        """Where it writes."""
        return self._root / ".sherpa" / "logs" / f"{self.app}.log"

    def find(self) -> psutil.Process | None:
        """The running process, by its pid file or, where that is gone, by looking at every process."""
        return processes.find(self._marker, hint=processes.read_pid(self._pid_file))

    def ensure_started(self, stack: Stack, progress: Progress) -> None:
        """Start it; one that runs with this very `.env` is left alone, another is restarted."""
        process = self.find()
        if process:
            processes.wake(process)
        if process and self._is_current():
            return
        if process:
            progress.say(f"restarting the {self.title}, since .env was changed")
            self.stop(stop_seconds(stack, self.app))
        self._start()

    def ensure_ready(self, stack: Stack, progress: Progress) -> AppAnswer:
        """Wait until it does its work, and return its answer.

        Raises ServerFailedError with the end of its log.
        """
        answer = self.ask(stack)
        if answer.ready:
            return answer
        with progress.step(f"waiting for the {self.title}", f"{self.title} ready"):
            return self._await_ready(stack)

    def listens(self, stack: Stack) -> bool:
        """Whether our own process has the port."""
        process = self.find()
        return process is not None and processes.listens(process, stack.port(self.app))

    def ask(self, stack: Stack) -> AppAnswer:
        """Ask it, and believe the answer only when it is our own process that listens there."""
        process = self.find()
        if not self.listens(stack):
            return AppAnswer(None, detail="it does not listen")
        answer = ask_app(stack, self.app)
        # Nothing can be seen of a process in its last moments: then it was someone else who answered.
        return answer if self.find() == process else AppAnswer(None, detail="it ended")

    def stop(self, grace_seconds: float) -> bool:
        """Stop it, letting what runs finish for the time given. False: it wasn't running."""
        process = self.find()
        if process is None:
            return False
        ended = processes.stop(process, (signal.SIGTERM, grace_seconds), (signal.SIGKILL, KILL_SECONDS))
        if not ended:
            raise ServerFailedError(
                f"The {self.title} (pid {process.pid}) does not stop.", remedy=f"Its log: {self.log}"
            )
        self._pid_file.unlink(missing_ok=True)
        return True

    def _start(self) -> None:
        state_directory(self._root)
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        self._offset = processes.size(self.log)
        command = [sys.executable, *self._marker.arguments]
        spawn = Spawn(command, log=self.log, directory=self._root, environment=os.environ)
        self._started = processes.spawn(spawn)
        self._pid_file.write_text(f"{self._started.pid}\n{self._settings_digest()}\n")

    def _await_ready(self, stack: Stack) -> AppAnswer:
        deadline = time.monotonic() + START_SECONDS
        while not (answer := self.ask(stack)).ready:
            if self.find() is None:
                require_none([app_conflict(stack, self.app)])
                if not self._found_port_taken():
                    raise self._failure(f"The {self.title} ended while it started")
                # Whoever had it has moved on, as another clone does whose first `up` meets ours.
                self._start()
            if time.monotonic() > deadline:
                why = answer.detail or "no answer"
                raise self._failure(
                    f"The {self.title} is not ready after {START_SECONDS:.0f} s ({why}). Was it started with "
                    f"another branch's code? Then `uv run inv down`, and `uv run inv up` again"
                )
            time.sleep(POLL_SECONDS)
        return answer

    def _found_port_taken(self) -> bool:
        return self._started is not None and processes.exit_code(self._started) == EXIT_PORT_TAKEN

    def _is_current(self) -> bool:
        """Whether the running one was started with the `.env` of now. By its content: clocks may be wrong."""
        try:
            return self._pid_file.read_text().split("\n")[1] == self._settings_digest()
        except (OSError, IndexError):
            return False

    def _settings_digest(self) -> str:
        return hashlib.sha256(envfile.path_of(self._root).read_bytes()).hexdigest()

    @property
    def _pid_file(self) -> Path:
        return self._root / ".sherpa" / f"{self.app}.pid"

    @property
    def _marker(self) -> Marker:
        # -X takes names that Python doesn't know, and so marks the process without a word to the program.
        return Marker("python", ("-X", f"sherpa-stack={identity_of(self._root)}", "-m", f"sherpa.{self.app}"))

    def _failure(self, what: str) -> ServerFailedError:
        words = processes.tail(self.log, offset=self._offset)
        return ServerFailedError(
            f"{what}:\n{words}", remedy=f"The whole log: uv run inv logs {self.app}  ({self.log})"
        )


def stop_seconds(stack: Stack, app: Service) -> float:
    """How long it may take to stop: what its settings say, and a moment."""
    return stack.stop_seconds(app) + KILL_SECONDS
