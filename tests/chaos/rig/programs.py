"""Programs of a story: real processes with a log each, killed, paused and told to stop."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rig.patience import Patience
from sherpa.devstack import ports

CHAOS = Path(__file__).parents[1]
END_SECONDS = 40.0


@dataclass
class Program:
    """A running `python -m <module>`; what it says is in the log."""

    module: str
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(
        cls, module: str, *arguments: str, folder: Path, name: str, environment: Mapping[str, str]
    ) -> "Program":
        """Start it with these variables and no others, but for where programs and modules are."""
        log = folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHAOS), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(module, process, log)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    async def kill(self) -> None:
        """End it at once (kill -9), paused or not."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code; a process that stays is a TimeoutExpired."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, END_SECONDS)

    def has_said(self, word: str) -> bool:
        """Whether that is in its log."""
        return word in self.log.read_text(errors="replace")

    async def said(self, word: str) -> None:
        """Wait until it has said that: before it is so far, Python itself would end at a signal."""
        patience = Patience(END_SECONDS)
        while not self.has_said(word):
            assert self.is_running, self.tail()
            assert not patience.is_over, self.tail()
            await patience.wait()

    def pause(self) -> None:
        """Stop its clock."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


@dataclass
class Crew:
    """The workers of a story: as many as wanted, where each that is killed is replaced by a new one."""

    folder: Path
    environment: Mapping[str, str]
    members: list[Program] = field(default_factory=list)
    _hired: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def hire(self, count: int = 1, **variables: str) -> None:
        """Start so many workers."""
        for _ in range(count):
            name = f"worker-{next(self._hired)}"
            port = str(ports.any_free())
            environment = {**self.environment, "WORKER_PORT": port, **variables}
            self.members.append(
                Program.start("rig.working", folder=self.folder, name=name, environment=environment)
            )

    async def replace(self, member: Program) -> None:
        """Kill one (-9), and start another in its place."""
        await member.kill()
        self.members.remove(member)
        self.hire()

    async def replace_dead(self) -> None:
        """Start another worker for each that has ended, as an orchestrator does."""
        for member in [member for member in self.members if not member.is_running]:
            await self.replace(member)

    def require_alive(self) -> None:
        """Raise AssertionError for a worker that has ended by itself: nobody restarts those."""
        for member in self.members:
            assert member.is_running, f"a worker ended with {member.process.returncode}:\n{member.tail()}"

    async def dismiss(self) -> list[int]:
        """Stop all with SIGTERM, at the same time; return their exit codes."""
        for member in self.members:
            await member.said("listening")
        codes = await asyncio.gather(*(member.stop() for member in self.members))
        self.members.clear()
        return codes

    async def clear(self) -> None:
        """Kill whoever is left."""
        await asyncio.gather(*(member.kill() for member in self.members))
        self.members.clear()
