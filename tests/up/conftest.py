"""Checkouts to bring up: with the real tasks.py, in a path with a space, on ports of their own."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sherpa.devstack import ports, report
from sherpa.devstack.progress import Progress
from sherpa.devstack.teardown import bring_down

ROOT = Path(__file__).parents[2]
NEEDED = ("tasks.py", ".env.example", "pyproject.toml")
PATIENCE_SECONDS = 120


@dataclass
class Checkout:
    """A copy of the checkout, and what a developer types in it."""

    root: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    ended: list[subprocess.CompletedProcess[str]] = field(default_factory=list)

    def inv(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `inv …` to its end."""
        ended = subprocess.run(
            [*self.prefix, sys.executable, "-m", "invoke", *arguments],
            cwd=self.root,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        self.ended.append(ended)
        return ended

    def up(self, *arguments: str) -> str:
        """Run `inv up`, which must end well, and return what it said."""
        ended = self.inv("up", *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `inv …`, in a process group of its own as a terminal would."""
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "invoke", *arguments],
            cwd=self.root,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def await_turn(self, run: subprocess.Popen[str]) -> None:
        """Wait until a begun command is at work, past the loading of Python's modules, or has ended."""
        lock = self.root / ".sherpa" / "lock"
        while run.poll() is None and not (lock.exists() and lock.read_text() == f"{run.pid}\n"):
            time.sleep(0.01)

    def status(self) -> dict[str, Any]:
        """What `inv status --json` says, with the services by name.

        Asked without a new Python where that is the same: it takes longer to load than to answer.
        """
        said = (
            self.inv("status", "--json").stdout if self.prefix else report.as_json(report.describe(self.root))
        )
        description: dict[str, Any] = json.loads(said)
        description["services"] = {each["service"]: each for each in description["services"]}
        return description

    def pids(self) -> dict[str, int | None]:
        """The pid of each process."""
        return {name: service["pid"] for name, service in self.status()["services"].items()}

    def query(self, sql: str) -> str:
        """The answer of `inv psql --command`."""
        ended = self.inv("psql", "--command", sql)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def write_settings(self) -> None:
        """Write an `.env` by hand, as the example has it."""
        (self.root / ".env").write_text((self.root / ".env.example").read_text())

    def settings(self) -> str:
        """The text of `.env`."""
        return (self.root / ".env").read_text()

    def replace(self, before: str, after: str) -> None:
        """Edit `.env`, as its owner may."""
        text = self.settings()
        assert before in text
        (self.root / ".env").write_text(text.replace(before, after))


def interrupt(process: subprocess.Popen[str], number: signal.Signals, *, after: float) -> str:
    """Send a signal to the whole group after so many seconds, as Ctrl-C does; return what was said."""
    time.sleep(after)
    if process.poll() is None:
        os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return said


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """What a shell has, without any variable of ours."""
    kept = ("PATH", "HOME", "LANG", "USER", "TMPDIR", "SSL_CERT_FILE", "DOCKER_HOST", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in kept if name in os.environ}


@pytest.fixture
def make_checkout(clean_environment: dict[str, str]) -> Iterator[Callable[..., Checkout]]:
    """Make checkouts; whatever they run is taken down afterwards, with its data."""
    place = Path(tempfile.mkdtemp(prefix="sherpa up "))
    place.chmod(0o755)
    made: list[Checkout] = []

    def make(name: str = "check out", *, prefix: Sequence[str] = (), **environment: str) -> Checkout:
        root = place / name
        root.mkdir()
        for file in NEEDED:
            shutil.copy(ROOT / file, root)
        _use_free_ports(root / ".env.example")
        checkout = Checkout(root, {**clean_environment, **environment}, prefix)
        made.append(checkout)
        return checkout

    yield make
    for checkout in made:
        if checkout.prefix:
            checkout.inv("down", "--volumes")
        bring_down(checkout.root, Progress(io.StringIO()), volumes=True)
    shutil.rmtree(place)


@pytest.fixture
def checkout(make_checkout: Callable[..., Checkout]) -> Checkout:
    """A checkout in which nothing was ever brought up; it uses the embedded servers, as without Docker."""
    return make_checkout(DOCKER_HOST="unix:///nowhere/docker.sock")


def _use_free_ports(example: Path) -> None:
    """Tests that run side by side must not meet on the usual ports; which these are is no matter here."""
    text = example.read_text()
    taken: set[int] = set()
    for usual in (":5432/", ":6379/", "PORT=8080", "PORT=8081"):
        port = ports.any_free(avoid=taken)
        taken.add(port)
        assert usual in text
        text = text.replace(usual, usual.replace(usual.strip(":/PORT="), str(port)))
    example.write_text(text)
