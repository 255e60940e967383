"""Importing the settings costs little more than environs itself."""

import subprocess
import sys

CHEAP = {"sherpa", "environs", "marshmallow", "dotenv"}


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages from outside the standard library that a fresh interpreter loads."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


def test_nothing_heavy_is_imported() -> None:
    """Only environs and what it brings are loaded."""
    assert loaded_by("import sherpa.config") <= CHEAP | loaded_by("import environs")
