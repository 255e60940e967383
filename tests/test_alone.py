"""`python -m sherpa.db` where sherpa-db is installed as in a container: no Invoke, no development package."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from sherpa.config import DatabaseSettings

ROOT = Path(__file__).parents[1]
IS_THERE = "import importlib.util as u, sys; print(*(name for name in sys.argv[1:] if u.find_spec(name)))"
DEVELOPMENT = ["invoke", "nox", "pip", "psutil", "pytest", "rich", "sherpa.devstack", "uv"]

type Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install sherpa-db, as the wheel that is built from it, into an environment of its own."""
    place = tmp_path_factory.mktemp("installed alone")
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, place], check=True)
    install = [find_uv_bin(), "pip", "install", "--quiet", f"--python={place}", str(ROOT / "packages/db")]
    subprocess.run(install, check=True, cwd=ROOT)
    return place / "bin/python"


@pytest.fixture
def run(python: Path, tmp_path: Path, empty_database_settings: DatabaseSettings) -> Run:
    """Return a function that runs `python -m` there, with DATABASE_URL and nothing else: code and output."""
    environment = {"PATH": os.defpath, "DATABASE_URL": empty_database_settings.url.reveal()}

    def run(*arguments: str) -> tuple[int, str]:
        ended = subprocess.run(
            [python, *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    return run


def test_nothing_of_development_is_there(run: Run) -> None:
    """The environment is what it claims to be: sherpa.db, and no tool of ours or Python's."""
    assert (0, "sherpa.db\n") == run("-c", IS_THERE, "sherpa.db", *DEVELOPMENT)


def test_schema_goes_there_and_back(run: Run) -> None:
    """Every command on the schema does its work: their modules and files are in the package."""
    migrations = ("-m", "sherpa.db", "migrations")
    before, listed = run(*migrations, "--json")
    pending = json.loads(listed)["migrations"]

    ran = [
        run("-m", "sherpa.db", *command)
        for command in (
            ("migrate", "--dry-run", "--to=002"),
            ("migrate",),
            ("migrations",),
            ("migrations", "--check"),
            ("revert", "--all", "--yes"),
        )
    ]

    assert (3, {"pending"}) == (before, {migration["state"] for migration in pending})
    assert [0, 0, 0, 0, 0] == [code for code, _ in ran], ran
    assert (3, pending) == (run(*migrations)[0], json.loads(run(*migrations, "--json")[1])["migrations"])


def test_fault_is_a_sentence(run: Run) -> None:
    """What is typed wrongly is answered with exit code 2 and no traceback, as with everything installed."""
    code, said = run("-m", "sherpa.db", "migrate", "--to", "no-such-migration")

    assert (2, True, False) == (code, "no-such-migration" in said, "Traceback" in said)
