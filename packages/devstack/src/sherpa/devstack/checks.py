"""The day's checks, straight from this environment, in seconds; Nox proves the same in isolation."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# What `inv lint` and Nox's session `lint` run; types, which take longer, are a session of their own there.
LINT = (
    ("ruff", "format", "--check"),
    ("ruff", "check"),
    ("lint-imports", "--no-logo"),
    ("python", "-m", "sherpa.devstack.sqllint"),
)
WELL, FAILED, WRONG_USE = 0, 1, 2
PYTEST_WRONG_USE = 4


def format_code(root: Path) -> int:
    """Mend what ruff can mend, then format."""
    return _run_all(root, [["ruff", "check", "--fix", "--exit-zero", "--quiet"], ["ruff", "format"]])


def lint(root: Path) -> int:
    """Check format, lint, imports, the migrations' SQL and types; runs every check, also when one fails."""
    return _run_all(root, [*LINT, ["mypy"]])


def test(root: Path, package: str | None, arguments: str) -> int:
    """Run pytest on one member, on the stories across members (`stories`) or on everything.

    `arguments` is pytest's own command line, as typed after `--`.
    """
    suites = _suites(root)
    if package is not None and package not in suites:
        print(f"There is no {package!r} to test. Choose from: {', '.join(sorted(suites))}.", file=sys.stderr)
        return WRONG_USE
    paths = [suites[package]] if package else list(suites.values())
    code = _run(root, ["pytest", *paths, *shlex.split(arguments)])
    return WRONG_USE if code == PYTEST_WRONG_USE else _verdict(code)


def _suites(root: Path) -> dict[str, str]:
    members = {
        path.parent.name: str(path.parent.relative_to(root)) for path in root.glob("*/*/pyproject.toml")
    }
    return members | {"stories": "tests"}


def _run_all(root: Path, commands: Sequence[Sequence[str]]) -> int:
    return max(_verdict(_run(root, command)) for command in commands)


def _verdict(code: int) -> int:
    """The tools' other codes mean that they could not do their work, which is no wrong use of ours."""
    return FAILED if code else WELL


def _run(root: Path, command: Sequence[str]) -> int:
    tool, *arguments = command
    # Beside the running interpreter, not on PATH: another project's ruff may be first there.
    return subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments], cwd=root, check=False
    ).returncode
