"""Why Docker can't be used is said exactly, with the remedy; what it says of containers is understood."""

import os
from pathlib import Path

import pytest

from sherpa.devstack import containers
from sherpa.devstack.containers import Container, DockerError

# What Docker's own client prints, word for word.
NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
)
NOT_ALLOWED = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
    "dial unix /var/run/docker.sock: connect: permission denied"
)
NOT_ALLOWED_2010 = f"Got {NOT_ALLOWED}"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that PATH begins with, and where Docker is on it."""
    shell = Path("/bin/sh").resolve().parent
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "sh").symlink_to(shell / "sh")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install_docker(folder: Path, script: str) -> None:
    """Put a `docker` there that does what the script says."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def answering_from(endpoint: str) -> str:
    """A client whose engine is at this endpoint."""
    return f'case $1 in version) echo 28.5.2;; context) echo "{endpoint}";; esac'


@pytest.mark.usefixtures("programs")
def test_docker_is_not_installed() -> None:
    """Without the program, that is what is said, and the way without Docker."""
    with pytest.raises(DockerError, match="not installed") as caught:
        containers.require_engine()

    assert "inv up --backend embedded" in str(caught.value)


def test_engine_does_not_answer(programs: Path) -> None:
    """A client without an engine: Docker's words, and how an engine is started."""
    install_docker(programs, f"echo '{NO_DAEMON}' >&2; exit 1")

    with pytest.raises(DockerError, match="its engine does not answer") as caught:
        containers.require_engine()

    assert "unix:///var/run/docker.sock" in str(caught.value)
    assert "systemctl start docker" in str(caught.value)


@pytest.mark.parametrize("words", [NOT_ALLOWED, NOT_ALLOWED_2010])
def test_socket_refuses_this_user(programs: Path, words: str) -> None:
    """A socket that this user may not open: which group opens it."""
    install_docker(programs, f"echo '{words}' >&2; exit 1")

    with pytest.raises(DockerError, match="may not talk to Docker's engine") as caught:
        containers.require_engine()

    assert "usermod -aG docker" in str(caught.value)


def test_engine_hangs(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never ends is given up, and that is said."""
    install_docker(programs, f"exec {os.defpath.split(':')[0]}/sleep 60")
    monkeypatch.setattr(containers, "ANSWER_SECONDS", 0.2)

    with pytest.raises(DockerError, match=r"does not answer within") as caught:
        containers.require_engine()

    assert "Restart Docker" in str(caught.value)


@pytest.mark.parametrize("endpoint", ["tcp://10.1.2.3:2375", "ssh://user@build", "tcp://docker:2376"])
def test_engine_on_another_machine_is_not_used(programs: Path, endpoint: str) -> None:
    """The ports that a remote engine publishes aren't here, so waiting for them would be in vain."""
    install_docker(programs, answering_from(endpoint))

    with pytest.raises(DockerError, match="another machine") as caught:
        containers.require_engine()

    assert endpoint in str(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["unix:///var/run/docker.sock", "npipe:////./pipe/docker_engine", "tcp://127.0.0.1:2375"]
)
def test_engine_on_this_machine_is_used(programs: Path, endpoint: str) -> None:
    """A local engine's version is returned."""
    install_docker(programs, answering_from(endpoint))

    assert "28.5.2" == containers.require_engine()


def test_containers_are_read_with_their_ports(programs: Path) -> None:
    """Fields may be empty, and a container may publish several ports or none."""
    published = "127.0.0.1:8080->8080/tcp, [::]:9->9/udp"
    lines = rf"a1\tx-api-1\trunning\t{published}\tapi\tx\nb2\tlone\texited\t\t\t\n"
    install_docker(programs, f"printf '{lines}'")

    found = containers.of_project("x")

    assert [
        Container("a1", "x-api-1", "running", published, "api", "x"),
        Container("b2", "lone", "exited", "", "", ""),
    ] == found
    assert [8080, None] == [each.port_for(8080) for each in found]


@pytest.mark.parametrize(("port", "publishes"), [(5432, True), (543, False), (15432, False), (6379, False)])
def test_publisher_is_matched_by_the_whole_port(port: int, publishes: bool) -> None:
    """5432 is neither 543 nor 15432."""
    container = Container("a1", "x", "running", "0.0.0.0:5432->6379/tcp", "", "")

    assert publishes == container.publishes(port)
