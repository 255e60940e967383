"""What the workspace promises about itself: its two commands, its members, its pages."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEMBERS = sorted(
    path.parent for pattern in ("packages/*", "services/*") for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(m / "README.md" for m in MEMBERS),
]


def read_project(folder: Path) -> dict[str, Any]:
    """Parse a folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


def requirement_names(requirements: list[str]) -> set[str]:
    """Strip versions and extras from requirements."""
    return {re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_ci_runs_the_readmes_command() -> None:
    """CI runs the README's second command, as written there for a machine without uv, and nothing else."""
    script = (ROOT / ".ci/run").read_text().splitlines()

    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]

    assert len(commands) == 1
    assert commands[0] in (ROOT / "README.md").read_text().splitlines()


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_member_owns_one_part_of_the_namespace(member: Path) -> None:
    """A member holds `sherpa.<name>` alone, typed, and `sherpa` itself stays a namespace."""
    namespace = member / "src/sherpa"

    assert [member.name] == [path.name for path in namespace.iterdir() if path.name != "__pycache__"]
    assert (namespace / member.name / "py.typed").exists()
    assert len((member / "README.md").read_text().splitlines()) <= 30


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_nothing_shipped_depends_on_devstack(member: Path) -> None:
    """The development stack is no run-time dependency of any member."""
    dependencies = requirement_names(read_project(member)["project"]["dependencies"])

    assert "sherpa-devstack" not in dependencies


def test_every_member_is_placed_everywhere() -> None:
    """Root groups, sources, layers and the noxfile know every member."""
    root = read_project(ROOT)
    names = {member.name for member in MEMBERS}
    layers = root["tool"]["importlinter"]["contracts"][0]["layers"]

    assert {f"sherpa-{name}" for name in names} == set(root["dependency-groups"]["members"])
    assert {f"sherpa-{name}" for name in names} == set(root["tool"]["uv"]["sources"])
    assert names == {name.strip() for layer in layers for name in layer.split("|")}
    assert names == set(
        re.findall(r'^    "(\w+)": "(?:packages|services)/', (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_invoke_lists_every_task_with_its_line() -> None:
    """`inv --list` reads as a table of contents: every task of the day, each with a sentence."""
    listing = subprocess.run(
        [sys.executable, "-m", "invoke", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    tasks = dict(re.findall(r"^  ([a-z-]+)\s+(\S.*)$", listing, re.MULTILINE))
    assert set(tasks) == {
        "up", "down", "status", "logs", "serve", "psql", "redis-cli", "doctor", "config",
        "migrate", "revert", "migrations", "migration", "schema",
        "events",
        "fmt", "lint", "test", "lock",
        "image", "deploy",
    }  # fmt: skip


def test_no_lock_file_with_addresses_is_tracked() -> None:
    """Git ignores the local lock file, whose addresses belong to one machine."""
    ignored = subprocess.run(
        ["git", "check-ignore", "uv.lock", ".env", ".sherpa/x", ".uv/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the tree is no git checkout")

    assert ignored.stdout.split() == ["uv.lock", ".env", ".sherpa/x", ".uv/x"]
