"""What the docker backend tells Compose, without Docker; what it does with Docker is in the stories."""

import hashlib
from pathlib import Path

import pytest

from sherpa.config import load
from sherpa.devstack.backends import docker
from sherpa.devstack.backends.docker import DockerBackend
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import Service, Stack, StackSettings

AWKWARD = "p%40s%24w%27%22d%20%23"  # p@s$w'"d #
PLAIN = "p@s$w'\"d #"


def make_stack(root: Path, *, database: str, redis: str = "redis://127.0.0.1:6379/0") -> Stack:
    """A stack with these addresses."""
    settings = {"DATABASE_URL": database, "REDIS_URL": redis}
    return Stack(root, load(StackSettings, environ=settings, dotenv=None))


def test_postgres_is_what_the_url_names(tmp_path: Path) -> None:
    """User, database, password and port are the URL's, decoded."""
    stack = make_stack(tmp_path, database=f"postgresql://me:{AWKWARD}@127.0.0.1:5999/other")

    told = docker.variables(stack)

    assert {
        "SHERPA_IDENTITY": stack.identity,
        "SHERPA_POSTGRES_USER": "me",
        "SHERPA_POSTGRES_DATABASE": "other",
        "SHERPA_POSTGRES_PASSWORD": PLAIN,
        "SHERPA_POSTGRES_PORT": "5999",
    }.items() <= told.items()


@pytest.mark.parametrize(
    ("redis", "users"),
    [
        ("redis://127.0.0.1:6379/0", []),
        (f"redis://:{AWKWARD}@127.0.0.1:6379/0", ["user default on"]),
        (f"redis://me:{AWKWARD}@127.0.0.1:6379/0", ["user me on", "user default off"]),
    ],
)
def test_redis_lets_in_whom_the_url_names(tmp_path: Path, redis: str, users: list[str]) -> None:
    """Redis gets a hash of the password, never the password, and nobody else may enter."""
    stack = make_stack(tmp_path, database="postgresql://me:x@127.0.0.1:5432/db", redis=redis)

    access = docker.variables(stack)["SHERPA_REDIS_ACCESS"].splitlines()

    assert "protected-mode no" == access[0]
    assert users == [line[: len(user)] for line, user in zip(access[1:], users, strict=True)]
    assert PLAIN not in "".join(access)
    if users:
        assert f" #{hashlib.sha256(PLAIN.encode()).hexdigest()} " in access[1]


def test_passwords_stand_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-cli and psql find their password in the environment, or need none."""
    monkeypatch.setattr("sherpa.devstack.compose.find_compose", lambda: ("docker", "compose"))
    stack = make_stack(
        tmp_path, database="postgresql://me:hush@127.0.0.1:5432/db", redis="redis://:hush@127.0.0.1:6379/3"
    )
    backend = DockerBackend(stack)

    commands = [backend.psql("select 1"), backend.redis_cli("get 'a key'")]

    assert [] == [word for command in commands for word in command.arguments if "hush" in word]
    assert "hush" == commands[1].environment["REDISCLI_AUTH"]
    assert ["redis", "redis-cli", "-n", "3", "get", "a key"] == list(commands[1].arguments)[-6:]


def test_password_is_required(tmp_path: Path) -> None:
    """PostgreSQL's image doesn't start without a password, so a URL without one is refused before."""
    stack = make_stack(tmp_path, database="postgresql://me@127.0.0.1:5432/db")

    with pytest.raises(StackError, match="names no password"):
        DockerBackend(stack).start([Service.POSTGRES], lambda _: None)
