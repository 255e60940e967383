"""The tools of benchmarks/migrations.py that npm brings: dbmate (a program in Go) and node-pg-migrate."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from migrations_changes import Change
from migrations_projects import write
from migrations_tools import Tool, commands

PACKAGES = ("dbmate@2.36.0", "node-pg-migrate@9.0.0", "pg@8.23.1")
INSTALL_SECONDS = 180
NODE_TOOLS = ("dbmate", "node-pg-migrate")


def install(folder: Path) -> str:
    """Install the packages into the folder; return why that can't be done, or nothing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "no npm"
    quiet = ("--no-fund", "--no-audit", "--ignore-scripts", "--loglevel=error")
    folder.mkdir()
    try:
        ended = subprocess.run(
            [npm, "install", "--prefix", folder, *quiet, *PACKAGES],
            capture_output=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "npm took too long"
    return "npm could not install it" if ended.returncode else ""


def node_tools(packages: Path, absence: str) -> Sequence[Tool]:
    """Return the tools in the folder of packages; `absence` says why they are not there, if they are not."""
    # The program itself, without the script of npm's that starts it.
    dbmate = next((str(file) for file in packages.glob("node_modules/@dbmate/*/bin/dbmate")), "")
    dbmate_options = (dbmate, "--no-dump-schema", "--migrations-dir", "migrations")
    script = packages / "node_modules" / "node-pg-migrate" / "bin" / "node-pg-migrate.js"
    node = ("node", str(script), "-m", "migrations")
    return [
        Tool(
            "dbmate",
            write_dbmate,
            commands(
                (*dbmate_options, "migrate"), (*dbmate_options, "rollback"), (*dbmate_options, "status")
            ),
            reverts_one_a_run=True,
            absence=absence or ("" if dbmate else "no program for this machine"),
        ),
        Tool(
            "node-pg-migrate",
            write_node_pg_migrate,
            commands((*node, "up"), (*node, "down", "{count}")),
            absence=absence,
        ),
    ]


def write_dbmate(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change."""
    for change in changes:
        ways = ("-- migrate:up", change.forwards, "-- migrate:down", change.backwards)
        write(folder / "migrations", f"{change.stem}.sql", *ways)


def write_node_pg_migrate(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change; its name begins with milliseconds. All are run in one transaction."""
    for change in changes:
        ways = ("-- Up Migration", change.forwards, "-- Down Migration", change.backwards)
        write(folder / "migrations", f"{1_700_000_000_000 + change.number}_{change.name}.sql", *ways)
