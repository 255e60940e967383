"""Which Compose is taken, and that nothing of the caller's shell changes what it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.devstack.compose import Compose, find_compose
from sherpa.devstack.containers import DockerError

V1 = "1.29.2"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that is the whole PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "sh").symlink_to(Path("/bin/sh").resolve())
    monkeypatch.setenv("PATH", str(folder))
    find_compose.cache_clear()
    yield folder
    find_compose.cache_clear()


def install(folder: Path, name: str, script: str) -> None:
    """Put a program there that does what the script says."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def install_without_plugin(folder: Path) -> None:
    """A Docker client as it is where Compose isn't installed."""
    install(folder, "docker", "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1")


@pytest.mark.parametrize("version", ["2.24.4", "v2.40.3", "2.40.3-3", "5.0.1"])
def test_plugin_is_taken(programs: Path, version: str) -> None:
    """Docker's plugin comes first, however its version is spelt."""
    install(programs, "docker", f"echo {version}")
    install(programs, "docker-compose", "echo 2.30.0")

    assert ("docker", "compose") == find_compose()


def test_program_of_its_own_is_taken(programs: Path) -> None:
    """Compose v2 as `docker-compose` serves as well."""
    install_without_plugin(programs)
    install(programs, "docker-compose", "echo 2.40.3")

    assert ("docker-compose",) == find_compose()


@pytest.mark.parametrize("version", [V1, "2.20.2"])
def test_older_one_counts_as_absent(programs: Path, version: str) -> None:
    """Version 1, and a 2 that can't read our files, are named and not used."""
    install_without_plugin(programs)
    install(programs, "docker-compose", f"echo {version}")

    with pytest.raises(DockerError, match=r"2\.24\.4 or newer is missing") as caught:
        find_compose()

    assert f"`docker-compose` is {version}" in str(caught.value)
    assert "inv up --backend embedded" in str(caught.value)


@pytest.mark.usefixtures("programs")
def test_none_at_all() -> None:
    """Where there is none, that is said, with the package that has it."""
    with pytest.raises(DockerError, match="there is none") as caught:
        find_compose()

    assert "apt install" in str(caught.value)


def test_callers_shell_changes_nothing(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """COMPOSE_ and SHERPA_ variables of the caller reach Compose no more than an `.env` file does."""
    install(programs, "docker", 'case "$*" in *version*) echo 2.40.3;; *) echo "$@"; set; exit 1;; esac')
    monkeypatch.setenv("COMPOSE_PROFILES", "surprise")
    monkeypatch.setenv("SHERPA_IMAGE", "surprise")
    compose = Compose(Path("/root of it"), "choice-sherpa-1", {"SHERPA_IDENTITY": "choice-sherpa-1"})

    with pytest.raises(DockerError) as caught:
        compose.run("up", "--detach", "redis")

    assert "surprise" not in str(caught.value)
    assert [
        "docker", "compose",
        "--project-name", "choice-sherpa-1",
        "--file", "/root of it/infra/docker/compose.yaml",
        "--env-file", "/dev/null",
        "--profile", "app",
        "up", "--detach", "redis",
    ] == compose.command("up", "--detach", "redis").arguments  # fmt: skip


def test_failure_gives_composes_last_words(programs: Path) -> None:
    """What Compose said last is in the error, and what it pulled was told on the way."""
    failing = 'echo " redis Pulling "; echo no space left >&2; exit 17'
    install(programs, "docker", f'case "$*" in *version*) echo 2.40.3;; *) {failing};; esac')
    told: list[str] = []

    with pytest.raises(DockerError, match="no space left"):
        Compose(Path("/x"), "choice-sherpa-1", {}).run("up", say=told.append)

    assert ["redis Pulling"] == told


def test_passwords_stay_out_of_its_description() -> None:
    """The variables hold passwords, so they are in no repr."""
    compose = Compose(Path("/x"), "choice-sherpa-1", {"SHERPA_POSTGRES_PASSWORD": "opensesame"})

    assert "opensesame" not in repr(compose)
