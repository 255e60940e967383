"""The backend is the one asked for, else the one that holds the data, else the best that is there."""

from pathlib import Path

import pytest

from sherpa.config import load
from sherpa.devstack.backends import choice, docker
from sherpa.devstack.backends.backend import BackendName, ServiceState
from sherpa.devstack.backends.embedded import EmbeddedBackend
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import Service, Stack, StackSettings

LOCAL = {
    "DATABASE_URL": "postgresql://sherpa:secret@127.0.0.1:5432/choice_sherpa",
    "REDIS_URL": "redis://localhost:6379/0",
}


def stack(tmp_path: Path, **environ: str) -> Stack:
    """A stack with these settings."""
    return Stack(tmp_path, load(StackSettings, environ={**LOCAL, **environ}, dotenv=None))


@pytest.fixture
def without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where Docker can't be used."""
    monkeypatch.setattr(docker, "absence", lambda: "its engine does not answer")


@pytest.fixture
def with_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where Docker can be used."""
    monkeypatch.setattr(docker, "absence", lambda: "")


@pytest.mark.usefixtures("with_docker")
def test_docker_first(tmp_path: Path) -> None:
    """Where Docker can be used, it is."""
    made = choice.choose(stack(tmp_path), "auto", None)

    assert (made.backend.name, made.why) == (BackendName.DOCKER, "its daemon answers and Compose is there")


@pytest.mark.usefixtures("without_docker")
def test_embedded_without_docker(tmp_path: Path) -> None:
    """Where it can't, the embedded servers are used, and the reason is Docker's own."""
    made = choice.choose(stack(tmp_path), "auto", None)

    assert (made.backend.name, made.why) == (BackendName.EMBEDDED, "its engine does not answer")


@pytest.mark.usefixtures("with_docker")
def test_keeps_what_holds_the_data(tmp_path: Path) -> None:
    """Docker that came later doesn't take an embedded stack's place."""
    made = choice.choose(stack(tmp_path), "auto", BackendName.EMBEDDED)

    assert (made.backend.name, made.why) == (BackendName.EMBEDDED, "as before")


@pytest.mark.usefixtures("with_docker")
def test_keeps_what_was_asked_for_once(tmp_path: Path) -> None:
    """Servers of one's own, asked for by name, are not replaced by empty ones."""
    made = choice.choose(stack(tmp_path), "auto", BackendName.EXTERNAL)

    assert (made.backend.name, made.why) == (BackendName.EXTERNAL, "as before")


@pytest.mark.usefixtures("with_docker")
def test_data_outlives_the_note_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the note of the backend was lost, the embedded servers' data is not left behind."""
    monkeypatch.setattr(
        EmbeddedBackend, "states", lambda _: {Service.POSTGRES: ServiceState(Service.POSTGRES, "stopped")}
    )

    made = choice.choose(stack(tmp_path), "auto", None)

    assert (made.backend.name, made.why) == (BackendName.EMBEDDED, "its data is here")


@pytest.mark.usefixtures("without_docker")
def test_lost_docker_is_no_empty_database(tmp_path: Path) -> None:
    """A stack that lives in Docker doesn't silently begin anew elsewhere while Docker is away."""
    with pytest.raises(StackError, match=r"lives in Docker(.|\n)*--backend embedded"):
        choice.choose(stack(tmp_path), "auto", BackendName.DOCKER)


@pytest.mark.usefixtures("without_docker")
def test_a_wish_is_heard(tmp_path: Path) -> None:
    """What is asked for is taken, or refused with the reason."""
    asked = choice.choose(stack(tmp_path), "embedded", BackendName.DOCKER)

    assert asked.backend.name is BackendName.EMBEDDED
    with pytest.raises(StackError, match="its engine does not answer"):
        choice.choose(stack(tmp_path), "docker", None)


@pytest.mark.usefixtures("with_docker")
def test_other_hosts_are_external(tmp_path: Path) -> None:
    """With both servers on other hosts nothing is started here."""
    elsewhere = stack(
        tmp_path, DATABASE_URL="postgresql://u:p@db.example.com/d", REDIS_URL="rediss://cache.example.com"
    )

    made = choice.choose(elsewhere, "auto", BackendName.EMBEDDED)

    assert made.backend.name is BackendName.EXTERNAL
    assert elsewhere.local == ()


@pytest.mark.usefixtures("without_docker")
def test_one_of_them_may_be_elsewhere(tmp_path: Path) -> None:
    """With PostgreSQL elsewhere, only Redis is started here."""
    mixed = stack(tmp_path, DATABASE_URL="postgresql://u:p@db.example.com/d")

    made = choice.choose(mixed, "auto", None)

    assert made.backend.name is BackendName.EMBEDDED
    assert mixed.local == (Service.REDIS,)
