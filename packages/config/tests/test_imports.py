"""Importing the settings costs little, and environs only where a number or a switch is set."""

import subprocess
import sys


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages from outside the standard library that a fresh interpreter loads."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


def test_nothing_heavy_is_imported() -> None:
    """Only the parser of `.env` files is loaded."""
    assert {"sherpa", "dotenv"} == loaded_by("import sherpa.config")


def test_environs_is_loaded_for_a_number() -> None:
    """A short command that is told where the database is, and nothing else, does without environs."""
    read = "from sherpa.config import DatabaseSettings, load; load(DatabaseSettings, environ={}, dotenv=None)"
    address = read.format({"DATABASE_URL": "postgresql://u@h/d"})
    number = read.format({"DATABASE_URL": "postgresql://u@h/d", "DATABASE_MAX_CONNECTIONS": "7"})

    loaded = ["environs" in loaded_by(statement) for statement in (address, number)]

    assert [False, True] == loaded
