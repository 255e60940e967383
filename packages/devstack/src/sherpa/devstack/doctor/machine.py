"""Findings about this machine: what the stack needs of it, whatever the checkout."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sherpa.devstack import memory
from sherpa.devstack.backends import docker
from sherpa.devstack.backends.backend import BackendName
from sherpa.devstack.doctor.finding import Finding, failure, note, warning, well
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.embedded.binaries import postgres_binaries, valkey_binary
from sherpa.devstack.embedded.libraries import install_command
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import identity_of

OLDEST_PYTHON = (3, 12)
GIGABYTE = 1_000_000_000
SCARCE_GIGABYTES = 0.3
LOW_GIGABYTES = 1.0


def examine_machine(root: Path) -> Iterator[Finding]:
    """Look at Python, uv, the servers' programs, Docker and the disk."""
    yield _python()
    yield _uv()
    yield from _embedded()
    yield _docker(root)
    yield from _disk(root)


def _python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return failure("python", f"{text} is too old", "uv python install 3.13 && uv sync")
    return well("python", text)


def _uv() -> Finding:
    found = shutil.which("uv")
    if found is None:
        activate = Path(sys.executable).with_name("activate")
        return warning("uv", "there is no uv on PATH; the environment has one", f'. "{activate}"')
    return well("uv", found)


def _embedded() -> Iterator[Finding]:
    try:
        account = current_account()
    except StackError as error:
        yield failure("user", error.problem, error.remedy)
        return
    yield well("user", f"servers run as {account.name}")
    yield _postgres("postgres")
    yield _postgres("psql")
    yield _valkey()


def _postgres(program: str) -> Finding:
    subject = "embedded postgresql" if program == "postgres" else program
    try:
        binaries = postgres_binaries(program)
    except StackError as error:
        return failure(subject, error.problem, error.remedy)
    text = f"{binaries.version} at {binaries.bin_directory}"
    if binaries.lacking:
        return warning(subject, f"{text}; {binaries.notice}", install_command(binaries.lacking))
    return well(subject, text)


def _valkey() -> Finding:
    try:
        program = valkey_binary()
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    except StackError as error:
        return failure("embedded valkey", error.problem, error.remedy)
    except (OSError, subprocess.CalledProcessError) as error:
        return failure("embedded valkey", f"it does not run here: {error}", "uv run inv up --backend docker")
    return well("embedded valkey", said.split(" sha=")[0])


def _docker(root: Path) -> Finding:
    absence = docker.absence()
    if not absence:
        return well("docker", "its engine answers, and Compose v2 is there")
    if memory.recall(root) is BackendName.DOCKER:
        return failure(
            "docker",
            f"this stack lives in it, and {absence}",
            "sudo systemctl start docker  # or start Docker Desktop",
        )
    return note("docker", f"not used: {absence}", "nothing to do: the embedded servers need no Docker")


def _disk(root: Path) -> Iterator[Finding]:
    places = {"checkout": root, "data": current_account().data_place(root, identity_of(root))}
    for name, place in places.items():
        there = next(path for path in (place, *place.parents) if path.exists())
        free = shutil.disk_usage(there).free / GIGABYTE
        text = f"{free:.1f} GB free at {there}"
        remedy = f'df -h "{there}" && du -xh --max-depth=2 "{there}" | sort -h | tail'
        if free < SCARCE_GIGABYTES:
            yield failure(f"disk ({name})", text, remedy)
        elif free < LOW_GIGABYTES:
            yield warning(f"disk ({name})", text, remedy)
        else:
            yield well(f"disk ({name})", text)
