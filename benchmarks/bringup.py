"""`inv up` and `inv down` against the bare floor: initdb, postgres and valkey-server started by hand.

Run it with `uv run python benchmarks/bringup.py [--rounds 5]`. Floor and product alternate in one run. The
product's times are those of whole `inv` processes, with the migrations and an API that is ready.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sherpa.devstack import ports
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.embedded.binaries import postgres_binaries, valkey_binary

ROOT = Path(__file__).parents[1]
NEEDED = ("tasks.py", ".env.example", "pyproject.toml")


@dataclass
class Floor:
    """The three programs, called as a person would who knows them well."""

    place: Path
    postgres_port: int = field(default_factory=ports.any_free)
    redis_port: int = field(default_factory=ports.any_free)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def cold(self) -> None:
        """Make a data directory, then start both servers."""
        uid_gid = current_account().switch
        self.place.mkdir(mode=0o700)
        if uid_gid:
            os.chown(self.place, *uid_gid)
        initdb = postgres_binaries().program("initdb")
        subprocess.run([initdb, "-D", self.place / "data", "-U", "sherpa"], check=True, **self._how())
        self.warm()

    def warm(self) -> None:
        """Start both servers on the data that is there, and wait until each takes a connection."""
        postgres = postgres_binaries().program("postgres")
        data, here = str(self.place / "data"), str(self.place)
        commands = (
            [str(postgres), "-D", data, "-p", str(self.postgres_port), "-k", "", "-h", "127.0.0.1"],
            [str(valkey_binary()), "--port", str(self.redis_port), "--dir", here, "--bind", "127.0.0.1"],
        )
        self.running = [subprocess.Popen[bytes](command, **self._how()) for command in commands]
        while not (self._is_ready() and _connects(self.redis_port)):
            time.sleep(0.002)

    def down(self) -> None:
        """Stop both, and wait for their end."""
        for process, number in zip(self.running, (signal.SIGINT, signal.SIGTERM), strict=True):
            process.send_signal(number)
        for process in self.running:
            process.wait()
        self.running = []

    def remove(self) -> None:
        """Delete the data."""
        shutil.rmtree(self.place)

    def _is_ready(self) -> bool:
        file = self.place / "data" / "postmaster.pid"
        return file.exists() and "ready" in file.read_text()

    def _how(self) -> dict[str, Any]:
        uid_gid = current_account().switch
        user = {"user": uid_gid[0], "group": uid_gid[1], "extra_groups": []} if uid_gid else {}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.place}
        return {**user, **quiet, "env": {"PATH": os.defpath, "LC_ALL": "C"}}


@dataclass
class Product:
    """A checkout of its own, and `inv` in it."""

    root: Path

    def inv(self, *arguments: str) -> None:
        """Run `inv …` as a whole process; it must end well."""
        environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
        ended = subprocess.run(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            sys.exit(ended.stdout + ended.stderr)


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _round(floor: Floor, product: Product, times: dict[str, list[float]]) -> None:
    steps: list[tuple[str, Callable[[], object]]] = [
        ("floor cold", floor.cold),
        ("floor down", floor.down),
        ("floor warm", floor.warm),
        ("", floor.down),
        ("", floor.remove),
        ("up cold", lambda: product.inv("up")),
        ("up no-op", lambda: product.inv("up")),
        ("down", lambda: product.inv("down")),
        ("up warm", lambda: product.inv("up")),
        ("", lambda: product.inv("down", "--volumes")),
    ]
    for name, work in steps:
        seconds = _timed(work)
        if name:
            times.setdefault(name, []).append(seconds)


def _print(times: dict[str, list[float]]) -> None:
    median = {name: statistics.median(values) for name, values in times.items()}
    cold = median["up cold"] / median["floor cold"]
    print(
        "| step | median | fastest | slowest | floor | ratio | goal |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, floor, goal, met in (
        ("up cold", "floor cold", "≤ 2.5 x the floor", cold <= 2.5),
        ("up warm", "floor warm", "≤ 2 s", median["up warm"] <= 2),
        ("up no-op", None, "≤ 1 s", median["up no-op"] <= 1),
        ("down", "floor down", "", None),
    ):
        ratio = f"{_ms(median[floor])} | {median[name] / median[floor]:.2f} x" if floor else " | "
        verdict = {True: "met", False: "MISSED", None: ""}[met]
        spread = f"{_ms(min(times[name]))} | {_ms(max(times[name]))}"
        print(f"| {name} | {_ms(median[name])} | {spread} | {ratio} | {goal} {verdict} |")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    # Unpacking the programs is done once per version, so it is no part of either side.
    postgres_binaries(), valkey_binary()
    place = Path(tempfile.mkdtemp(prefix="bringup-"))
    place.chmod(0o755)
    product = Product(place / "checkout")
    product.root.mkdir()
    for name in NEEDED:
        shutil.copy(ROOT / name, product.root)
    times: dict[str, list[float]] = {}
    try:
        for number in range(rounds):
            _round(Floor(place / f"floor{number}"), product, times)
    finally:
        product.inv("down", "--volumes")
        shutil.rmtree(place)
    _print(times)


if __name__ == "__main__":
    main()
