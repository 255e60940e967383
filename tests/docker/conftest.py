"""What tests with real containers share: an engine or a reason to skip, and copies of this project."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.config import load
from sherpa.devstack import containers, ports
from sherpa.devstack.backends.docker import DockerBackend, absence
from sherpa.devstack.probe import Answer, ask_servers
from sherpa.devstack.stack import SERVERS, Service, Stack, StackSettings

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    ".dockerignore",
    ".env.example",
    ".gitignore",
    "pyproject.toml",
    "infra",
    "packages",
    "requirements",
    "services",
)
READY_SECONDS = 60.0
BUILD_SECONDS = 1800  # the first image fetches its base and every dependency


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder: it needs Docker, and may have to build an image first."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Skip, with the reason, where Docker or Compose can't be used."""
    if reason := absence():
        pytest.skip(f"no Docker here: {reason}")


def copy_project(target: Path, name: str) -> Path:
    """Copy what an image is built from, as a project of another name, so that no real image is replaced."""
    target.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, ignore=ignored)
        else:
            shutil.copy2(ROOT / part, target / part)
    declaration = target / "pyproject.toml"
    declaration.write_text(declaration.read_text().replace('name = "choice-sherpa"', f'name = "{name}"', 1))
    return target


@pytest.fixture
def image_name(worker_id: str) -> Iterator[str]:
    """A name for images of this test; what was built under it is removed afterwards."""
    name = f"choice-sherpa-test-{worker_id}"
    yield name
    images = containers.ask("images", "--quiet", "--no-trunc", name).split()
    if images:
        containers.ask("rmi", "--force", *set(images))


@pytest.fixture
def project(tmp_path: Path, image_name: str) -> Path:
    """A copy of this project in a path with a space."""
    return copy_project(tmp_path / "a checkout", image_name)


def make_stack(root: Path, **urls: str) -> Stack:
    """A stack on free ports, with awkward passwords."""
    first = ports.any_free()
    settings = {
        "DATABASE_URL": f"postgresql://sherpa:p%40s%24w%27%22d@127.0.0.1:{first}/choice_sherpa",
        "REDIS_URL": f"redis://:se%20cret%24@127.0.0.1:{ports.any_free(avoid=[first])}/0",
        **urls,
    }
    return Stack(root.resolve(), load(StackSettings, environ=settings, dotenv=None))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own: nothing of it runs before, and nothing is left afterwards."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "infra", root / "infra")
    made = make_stack(root)
    yield made
    DockerBackend(made).remove()


def quiet(_: str) -> None:
    """Hear no progress."""


def bring_up(stack: Stack) -> dict[Service, Answer]:
    """Start both servers and wait until each serves a client."""
    DockerBackend(stack).start(SERVERS, quiet)
    deadline = time.monotonic() + READY_SECONDS
    while True:
        answers = asyncio.run(ask_servers(stack))
        if all(answer.reachable for answer in answers.values()):
            return answers
        assert time.monotonic() < deadline, answers
        time.sleep(0.05)


def run(command: list[str], directory: Path) -> str:
    """Run a command in a folder; return what it prints."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
