"""What the image's files promise, without Docker: Dockerfile, context, entry point, health check."""

import os
import re
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sherpa.devstack import ports

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "infra/docker"
DEVELOPMENT_ONLY = {"packages/devstack"}


@pytest.fixture
def instructions() -> list[str]:
    """The Dockerfile's instructions: comments dropped, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def run_entrypoint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's entry point with this environment's Python, where every member is installed, too."""
    return subprocess.run(
        ["/bin/sh", str(FOLDER / "entrypoint.sh"), *arguments],
        env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def check_health(port: int, path: str = "/health/live") -> int:
    """Run the image's health check against a port; return its exit code."""
    command = [sys.executable, "-I", "-S", str(FOLDER / "healthcheck.py"), path]
    return subprocess.run(command, env={"PORT": str(port)}, check=False, timeout=30).returncode


class Answering(socketserver.BaseRequestHandler):
    """Answers `/health/live` with 200, `/health/never` not at all, and anything else with 503."""

    def handle(self) -> None:
        """Answer one request."""
        path = self.request.recv(1000).split()[1]
        if path == b"/health/never":
            self.request.recv(1000)
            return
        status = b"200 OK" if path == b"/health/live" else b"503 Service Unavailable"
        self.request.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def serving() -> Iterator[int]:
    """Serve on loopback for the length of the block; the value is the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_two_stages_share_a_base_that_can_be_chosen(instructions: list[str]) -> None:
    """The base image is a build argument, and both stages start from it."""
    assert "ARG PYTHON_IMAGE=python:3.13-slim" == instructions[0]
    assert ["FROM ${PYTHON_IMAGE} AS build", "FROM ${PYTHON_IMAGE}"] == [
        line for line in instructions if line.startswith("FROM")
    ]


def test_base_is_the_python_that_we_develop_on() -> None:
    """`.python-version` and the image name the same Python."""
    version = (ROOT / ".python-version").read_text().strip()

    assert f"ARG PYTHON_IMAGE=python:{version}-slim" in (FOLDER / "Dockerfile").read_text()


def test_any_engine_and_builder_can_read_it() -> None:
    """Nothing that engine 20.10's builders don't know, nor what asks a registry beyond the base image."""
    text = (FOLDER / "Dockerfile").read_text()

    newer = r"# syntax=|@sha256:|<<\w|--(?:mount|link|chmod|exclude|parents|start-interval)"
    assert [] == re.findall(newer, text)


def test_locked_dependencies_come_first_and_code_last(instructions: list[str]) -> None:
    """A change of our code leaves the layer with the dependencies as it is, in both stages."""
    copies = [line for line in instructions if line.startswith("COPY")]
    install = next(
        line for line in instructions if "requirements/image.txt" in line and line.startswith("RUN")
    )

    assert copies[0] == "COPY requirements/build.txt requirements/image.txt requirements/"
    assert instructions.index(install) < instructions.index("COPY packages packages")
    assert 2 == install.count("--require-hashes --only-binary=:all:")
    assert ["COPY --from=build /opt/venv /opt/venv", "COPY --from=build /opt/sherpa /opt/sherpa"] == copies[
        -2:
    ]


def test_it_runs_as_a_fixed_user_and_in_exec_form(instructions: list[str]) -> None:
    """A number that Kubernetes can tell from root's, and no shell between the engine and the process."""
    assert "USER 10001:10001" in instructions
    assert instructions[-2:] == ['ENTRYPOINT ["/bin/sh", "/opt/sherpa/bin/entrypoint.sh"]', 'CMD ["api"]']


def test_health_is_asked_by_python(instructions: list[str]) -> None:
    """The health check needs nothing that a slim image lacks, and asks whether the process lives."""
    check = next(line for line in instructions if line.startswith("HEALTHCHECK"))

    assert "curl" not in check
    assert check.endswith('["python", "-I", "-S", "/opt/sherpa/bin/healthcheck.py", "/health/live"]')


def test_context_is_an_allow_list_of_what_is_shipped() -> None:
    """Everything is ignored but the members that are shipped, their requirements and two scripts."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    members = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("*/*/pyproject.toml")}

    assert "*" == rules[0]
    assert members - DEVELOPMENT_ONLY | {
        "requirements/image.txt",
        "requirements/build.txt",
        "infra/docker/entrypoint.sh",
        "infra/docker/healthcheck.py",
    } == {rule[1:] for rule in rules if rule.startswith("!")}
    assert {"**/tests", "**/__pycache__"} <= set(rules)


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["api", "--help"], "python -m sherpa.api"),
        (["worker", "--help"], "python -m sherpa.worker"),
        (["migrate", "--help"], "python -m sherpa.db migrate"),
        (["migrations", "--help"], "python -m sherpa.db migrations"),
        (["revert", "--help"], "python -m sherpa.db revert"),
        (["events", "--help"], "python -m sherpa.events"),
        (["config", "--help"], "python -m sherpa.config"),
    ],
)
def test_first_argument_chooses_the_process(arguments: list[str], program: str) -> None:
    """Each command of the image reaches its program, with the arguments that follow it."""
    done = run_entrypoint(*arguments)

    assert 0 == done.returncode, done.stderr
    assert f"usage: {program}" in done.stdout


@pytest.mark.parametrize("arguments", [["bash"], [""], [], ["Api"]])
def test_unknown_command_is_wrong_use(arguments: list[str]) -> None:
    """What the image doesn't know ends with 2, names it, and says what there is."""
    done = run_entrypoint(*arguments)

    assert 2 == done.returncode
    assert f"no command '{''.join(arguments)}'" in done.stderr
    assert "api | worker | migrate" in done.stderr


@pytest.mark.parametrize(("path", "code"), [("/health/live", 0), ("/health/ready", 1), ("/health/never", 1)])
def test_health_check_believes_200_only(path: str, code: int) -> None:
    """The check succeeds on 200; another status, or no answer in time, is a failure."""
    with serving() as port:
        assert code == check_health(port, path)


def test_health_check_fails_when_nobody_listens() -> None:
    """A port without a listener is a failure, told by the exit code and not by a traceback's."""
    assert 1 == check_health(ports.any_free())
