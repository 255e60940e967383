"""What migrating costs: ours, Piccolo's command, Alembic, Django, yoyo, dbmate, node-pg-migrate, and psql.

    uv run --isolated --group bench python benchmarks/migrations.py [--rounds 5] [--many 500] [--only TOOL …]

Whole processes on one durable server of its own (fsync on), the same SQL for all, a fresh database for each
tool and round. Each step is run by all tools in turn before the next one begins. The tools of npm are
installed into the run's own folder; where npm is not, or can't, their rows say so. Nothing is left behind.
With PYTHONDONTWRITEBYTECODE=1 in a fresh environment, Python compiles what it imports again and again.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from migrations_changes import Change, seed, small
from migrations_node import NODE_TOOLS, install, node_tools
from migrations_table import Measured, as_json, goals, table
from migrations_tools import STEPS, Tool, python_tools

from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer

# The short steps are run so often in each round: their goals are the tightest.
REPEATS = {"no-op": 3, "status": 3}
ONCE: Mapping[str, int] = {}
STEP_SECONDS = 300
# Of our own environment, nothing else reaches the tools.
INHERITED = ("PATH", "PYTHONDONTWRITEBYTECODE")
# A tool that reverts one migration a run is not asked for more.
MOST_RUNS = 10


@dataclass(frozen=True)
class Stand:
    """Where the tools are measured: a server, and a folder for each tool's projects."""

    server: PostgresServer
    folder: Path

    def url(self, database: str) -> str:
        """Return a database's address, without TLS."""
        server = self.server
        where = f"{ports.LOOPBACK}:{server.port}"
        return f"postgresql://{server.superuser}:{server.password}@{where}/{database}?sslmode=disable"

    def ask(self, sql: str, *arguments: object) -> object:
        """Run one statement on the maintenance database, and return its first value."""
        return asyncio.run(self._ask(sql, arguments))

    async def _ask(self, sql: str, arguments: Sequence[object]) -> object:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            value: object = await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()
        return value

    def sessions(self, database: str) -> int:
        """Return how many sessions the server has ever seen in the database, once none is open any more."""
        while self.ask("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database):
            time.sleep(0.01)
        return int(str(self.ask("SELECT sessions FROM pg_stat_database WHERE datname = $1", database)))


@dataclass(frozen=True)
class Entrant:
    """A tool with a project that holds one set of migrations, and the address of this round's database."""

    tool: Tool
    project: Path
    count: int
    url: str

    def run(self, step: str) -> float | None:
        """Do the step and return the seconds it took, None where the tool can't, or would take too long."""
        command = self.tool.commands.get(step)
        runs = self.count if self.tool.reverts_one_a_run and step == "revert" else 1
        if command is None or runs > MOST_RUNS:
            return None
        started = time.perf_counter()
        for _ in range(runs):
            self._call([self._fill(word) for word in command])
        return time.perf_counter() - started

    def _call(self, command: Sequence[str]) -> None:
        own = {name: self._fill(value) for name, value in self.tool.environment.items()}
        ended = subprocess.run(
            command,
            cwd=self.project,
            env={**_inherited(), "HOME": str(self.project), **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"{self.tool.name} failed: {' '.join(command)}\n{ended.stdout}{ended.stderr}")

    def _fill(self, text: str) -> str:
        psycopg_url = self.url.replace("postgresql://", "postgresql+psycopg://")
        return text.format(url=self.url, psycopg_url=psycopg_url, folder=self.project, count=self.count)


def choose_tools(packages: Path, only: Sequence[str]) -> Sequence[Tool]:
    """Return the tools whose names hold a word of `only`, or all; install what npm brings of them."""

    def is_wanted(name: str) -> bool:
        return not only or any(word.lower() in name.lower() for word in only)

    absence = install(packages) if any(map(is_wanted, NODE_TOOLS)) else ""
    tools = (*python_tools(), *node_tools(packages, absence))
    if unknown := [word for word in only if not any(word.lower() in tool.name.lower() for tool in tools)]:
        raise SystemExit(f"No tool is called {', '.join(unknown)}: {', '.join(tool.name for tool in tools)}.")
    return [tool for tool in tools if is_wanted(tool.name)]


def write_projects(stand: Stand, tools: Sequence[Tool], name: str, changes: Sequence[Change]) -> None:
    """Write each tool's project."""
    for tool in tools:
        tool.write(_project(stand, tool, name), changes)


def run_round(
    stand: Stand,
    tools: Sequence[Tool],
    name: str,
    count: int,
    measured: Measured,
    *,
    repeats: Mapping[str, int] = ONCE,
) -> None:
    """Let every tool go through all steps, each on a database of its own."""
    databases = [f"round_{place}" for place, _ in enumerate(tools)]
    entrants = [
        Entrant(tool, _project(stand, tool, name), count, stand.url(database))
        for tool, database in zip(tools, databases, strict=True)
    ]
    for database in databases:
        stand.ask(f"CREATE DATABASE {database}")
    for step in STEPS:
        for _ in range(repeats.get(step, 1)):
            for entrant in entrants:
                seconds = entrant.run(step)
                if seconds is not None:
                    measured.note(name, step, entrant.tool.name, seconds)
        if step == "apply":
            opened = zip(tools, databases, strict=True)
            measured.connections[name] = {tool.name: stand.sessions(each) for tool, each in opened}
        print(".", end="", flush=True, file=sys.stderr)
    for database in databases:
        stand.ask(f"DROP DATABASE {database}")


def measure(stand: Stand, options: argparse.Namespace) -> tuple[Measured, Sequence[str], Sequence[str]]:
    """Run the rounds; return what was measured, the tools' names, and those of the sets of migrations."""
    tools = choose_tools(stand.folder / "node", options.only)
    measured = Measured(absent={tool.name: tool.absence for tool in tools if tool.absence})
    present = [tool for tool in tools if not tool.absence]
    sets = {"seed": seed(), str(options.many): small(options.many)}
    for name, changes in sets.items():
        write_projects(stand, present, name, changes)
    if not options.quick:  # Python keeps the bytecode of all that it imports, if it may
        run_round(stand, present, "seed", len(sets["seed"]), Measured())
    repeats = ONCE if options.quick else REPEATS
    deadline = time.monotonic() + 60 * options.minutes
    for _ in range(options.rounds):
        for name, changes in sets.items():
            run_round(stand, present, name, len(changes), measured, repeats=repeats)
        if time.monotonic() > deadline:
            print(" out of time", end="", file=sys.stderr)
            break
    print(file=sys.stderr)
    return measured, [tool.name for tool in tools], list(sets)


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def _project(stand: Stand, tool: Tool, name: str) -> Path:
    return stand.folder / name / tool.name.partition(" ")[0]


def main() -> None:
    """Start a server of our own, measure, print, and stop it."""
    parser = argparse.ArgumentParser(description="What migrating costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, default=500, metavar="N", help="how many small migrations")
    parser.add_argument("--minutes", type=float, default=20, help="no round begins later than this")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TOOL", help="these tools (a part of the name)"
    )
    parser.add_argument("--quick", action="store_true", help="each step once and cold: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON: every run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped
    with tempfile.TemporaryDirectory(prefix="migrations-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's server runs as somebody else, who must pass
        server = PostgresServer(folder / "server", ports.any_free(), "benchmark", folder.name)
        server.start()
        try:
            measured, tools, sets = measure(Stand(server, folder), options)
        finally:
            server.stop()
    if options.json:
        print(json.dumps(as_json(measured, sets), indent=2))
        return
    print(f"Python keeps bytecode: {'no' if sys.dont_write_bytecode else 'yes'}\n")
    print("\n".join([*table(measured, tools, sets), ""]))
    for goal, verdict in goals(measured, sets):
        print(f"{goal}: {verdict}")


if __name__ == "__main__":
    main()
