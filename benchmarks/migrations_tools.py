"""The tools of benchmarks/migrations.py: how each is called for each step."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from migrations_changes import Change
from migrations_projects import (
    write_alembic,
    write_django,
    write_ours,
    write_piccolo,
    write_psql,
    write_yoyo,
)

from sherpa.devstack.embedded.binaries import postgres_binaries

type Command = tuple[str, ...]
type Step = str

STEPS: Sequence[Step] = ("apply", "no-op", "status", "revert")
FINDS_ITSELF: Mapping[str, str] = {"DATABASE_URL": "{url}", "PYTHONPATH": "{folder}"}
PYTHON = (sys.executable, "-m")


@dataclass(frozen=True)
class Tool:
    """A tool, called as whole processes in its project's folder.

    `write` makes the project. In commands and variables {url} and {psycopg_url} stand for the address of the
    database, {folder} for the project and {count} for the number of its migrations. A step without a command
    is one that the tool can't do. `absence` is why the tool can't be measured here.
    """

    name: str
    write: Callable[[Path, Sequence[Change]], None]
    commands: Mapping[Step, Command]
    environment: Mapping[str, str] = field(default_factory=lambda: FINDS_ITSELF)
    reverts_one_a_run: bool = False
    absence: str = ""


def commands(apply: Command, revert: Command, status: Command | None = None) -> Mapping[Step, Command]:
    """Return a tool's commands by step: a no-op is to apply once more, when nothing is left to apply."""
    steps = {"apply": apply, "no-op": apply, "revert": revert}
    return {**steps, "status": status} if status else steps


def python_tools() -> Sequence[Tool]:
    """Return the floor, ours, and the tools that PyPI brings."""
    return [_psql(), _ours(), _piccolo(), _alembic(), _django(), _yoyo()]


def _psql() -> Tool:
    psql = (str(postgres_binaries().program("psql")), "{url}", "-Xqv", "ON_ERROR_STOP=1")
    steps = commands((*psql, "-f", "forwards.sql"), (*psql, "-f", "backwards.sql"))
    # It has no history to look into: to ask anything is the least that a no-op can do.
    return Tool("psql (floor)", write_psql, {**steps, "no-op": (*psql, "-c", "SELECT 1")})


def _ours() -> Tool:
    ours = (*PYTHON, "sherpa.db")
    steps = commands((*ours, "migrate"), (*ours, "revert", "--all", "--yes"), (*ours, "migrations"))
    # The address switches TLS off, and the two must agree.
    return Tool("sherpa.db", write_ours, steps, {**FINDS_ITSELF, "DATABASE_SSL_MODE": "disable"})


def _piccolo() -> Tool:
    piccolo = (*PYTHON, "piccolo.main", "migrations")
    back = (*piccolo, "backwards", "bench", "all", "--auto_agree")
    return Tool(
        "Piccolo", write_piccolo, commands((*piccolo, "forwards", "bench"), back, (*piccolo, "check"))
    )


def _alembic() -> Tool:
    alembic = (*PYTHON, "alembic")
    steps = commands((*alembic, "upgrade", "head"), (*alembic, "downgrade", "base"), (*alembic, "current"))
    return Tool("Alembic", write_alembic, steps, absence=_missing("alembic"))


def _django() -> Tool:
    django = (*PYTHON, "django")
    steps = commands((*django, "migrate"), (*django, "migrate", "bench", "zero"), (*django, "showmigrations"))
    settings = {**FINDS_ITSELF, "DJANGO_SETTINGS_MODULE": "bench_settings"}
    return Tool("Django", write_django, steps, settings, absence=_missing("django"))


def _yoyo() -> Tool:
    yoyo = (*PYTHON, "yoyo")
    options = ("--batch", "--no-config-file", "--database", "{psycopg_url}", "migrations")
    steps = commands(
        (*yoyo, "apply", *options), (*yoyo, "rollback", "--all", *options), (*yoyo, "list", *options)
    )
    return Tool("yoyo", write_yoyo, steps, absence=_missing("yoyo"))


def _missing(module: str) -> str:
    return "" if find_spec(module) else f"no {module}: run with --group bench"
