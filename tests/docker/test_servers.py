"""PostgreSQL and Redis in real containers: up, found again, recovered, told apart, taken down."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from sherpa.devstack import containers
from sherpa.devstack.backends.backend import Command
from sherpa.devstack.backends.docker import DockerBackend
from sherpa.devstack.containers import DockerError
from sherpa.devstack.probe import Verdict, ask_redis, ask_servers, postgres_options
from sherpa.devstack.stack import SERVERS, Service, Stack
from tests.docker.conftest import ROOT, bring_up, make_stack, quiet

HEALTHY_SECONDS = 40.0


def ids(stack: Stack) -> dict[str, str]:
    """The containers of a stack."""
    return {each.service: each.id for each in containers.of_project(stack.identity)}


def query(stack: Stack, statement: str) -> object:
    """Run one statement as a client on this machine; return its first value."""

    async def ask() -> object:
        connection = await asyncpg.connect(**postgres_options(stack))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def output_of(command: Command) -> str:
    """Run a command that the backend gave; return what it prints."""
    environment = {**os.environ, **command.environment}
    done = subprocess.run(
        list(command.arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def await_healthy(stack: Stack) -> None:
    """Wait until the engine, too, calls both containers healthy."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    wanted = {"healthy"}
    while {
        containers.ask("inspect", "--format", "{{.State.Health.Status}}", each)
        for each in ids(stack).values()
    } != wanted:
        assert time.monotonic() < deadline, containers.ask("ps", "--all")
        time.sleep(0.5)


def await_log(container: str, words: str) -> None:
    """Wait until a container has said these words."""
    deadline = time.monotonic() + HEALTHY_SECONDS
    while words not in output_of(Command(["docker", "logs", container])):
        assert time.monotonic() < deadline, words


def test_servers_serve_a_client_and_say_whose_they_are(stack: Stack) -> None:
    """Both answer over TCP with the passwords of the URLs, carry the stack's identity, and turn healthy."""
    answers = bring_up(stack)

    assert {stack.identity} == {answer.identity for answer in answers.values()}
    assert answers[Service.POSTGRES].version.startswith("16.")
    assert answers[Service.REDIS].version.startswith("Redis 7.")
    assert {"running"} == {state.state for state in DockerBackend(stack).states().values()}
    await_healthy(stack)


def test_second_start_changes_nothing(stack: Stack) -> None:
    """Starting what runs leaves the very same containers."""
    bring_up(stack)
    before = ids(stack)

    bring_up(stack)

    assert before == ids(stack)


def test_passwords_show_nowhere(stack: Stack) -> None:
    """Neither the engine's description of the containers nor their command lines hold a password."""
    bring_up(stack)

    shown = containers.ask("inspect", *ids(stack).values())

    postgres, redis = (stack.url(service).password for service in SERVERS)
    assert postgres
    assert redis
    assert postgres.reveal() not in shown
    assert redis.reveal() not in shown
    assert [] == [
        name for name in json.dumps(json.loads(shown)).split('"') if name.startswith("POSTGRES_PASSWORD=")
    ]


def test_wrong_passwords_are_refused(stack: Stack) -> None:
    """From this machine nobody gets in without the password."""
    bring_up(stack)
    wrong = make_stack(
        stack.root,
        DATABASE_URL=stack.url(Service.POSTGRES).reveal().replace("p%40s", "wrong"),
        REDIS_URL=stack.url(Service.REDIS).reveal().replace("se%20cret", "wrong"),
    )

    answers = asyncio.run(ask_servers(wrong))

    assert {Verdict.REFUSED} == {answer.verdict for answer in answers.values()}


def test_data_survives_down_and_goes_with_its_volumes(stack: Stack) -> None:
    """`stop` keeps what was written, in both servers; `remove` deletes it."""
    backend = DockerBackend(stack)
    bring_up(stack)
    query(stack, "CREATE TABLE kept AS SELECT 7 AS value")
    output_of(backend.redis_cli("set kept 7"))

    stopped = backend.stop()
    bring_up(stack)
    kept = (query(stack, "SELECT value FROM kept"), output_of(backend.redis_cli("get kept")).strip())
    backend.remove()
    bring_up(stack)

    assert list(SERVERS) == list(stopped)
    assert (7, "7") == kept
    assert query(stack, "SELECT to_regclass('kept')") is None
    assert "" == output_of(backend.redis_cli("get kept")).strip()


def kill(stack: Stack) -> None:
    """Kill both containers, as `kill -9` would."""
    containers.ask("kill", *ids(stack).values())


def remove_containers(stack: Stack) -> None:
    """Take both containers away by hand."""
    containers.ask("rm", "--force", *ids(stack).values())


def pause(stack: Stack) -> None:
    """Freeze both containers."""
    containers.ask("pause", *ids(stack).values())


def stop_and_prune(stack: Stack) -> None:
    """Stop both containers and take their network away, as a clean-up by hand does."""
    containers.ask("stop", *ids(stack).values())
    containers.ask("network", "rm", f"{stack.identity}_default")


@pytest.mark.parametrize("harm", [kill, remove_containers, pause, stop_and_prune])
def test_next_start_recovers(stack: Stack, harm: Callable[[Stack], None]) -> None:
    """Whatever was done to the containers by hand, the next start serves the same data."""
    bring_up(stack)
    query(stack, "CREATE TABLE kept AS SELECT 7 AS value")

    harm(stack)
    bring_up(stack)

    assert query(stack, "SELECT value FROM kept") == 7


def test_one_missing_server_is_started_alone(stack: Stack) -> None:
    """When Redis is gone, PostgreSQL's container is not touched."""
    bring_up(stack)
    before = ids(stack)
    containers.ask("rm", "--force", before["redis"])

    DockerBackend(stack).start([Service.REDIS], quiet)

    assert before["postgres"] == ids(stack)["postgres"]
    assert before["redis"] != ids(stack)["redis"]


@pytest.mark.parametrize("moment", ["creating subdirectories", "syncing data to disk", "CREATE DATABASE"])
def test_killed_while_its_data_is_made(stack: Stack, moment: str) -> None:
    """A container that is killed while PostgreSQL makes its data leaves nothing to trip over."""
    DockerBackend(stack).start([Service.POSTGRES], quiet)
    container = ids(stack)["postgres"]
    await_log(container, moment)
    containers.ask("kill", container)

    answers = bring_up(stack)

    assert Verdict.ANSWERS == answers[Service.POSTGRES].verdict
    assert "choice_sherpa" == query(stack, "SELECT current_database()")


def test_two_checkouts_do_not_meet(stack: Stack, tmp_path: Path) -> None:
    """A second checkout has its own containers, volumes and network beside the first one's."""
    other_root = tmp_path / "another checkout"
    shutil.copytree(ROOT / "infra", other_root / "infra")
    other = make_stack(other_root)
    try:
        mine, theirs = bring_up(stack), bring_up(other)
        DockerBackend(other).remove()

        assert {stack.identity} == {answer.identity for answer in mine.values()}
        assert {other.identity} == {answer.identity for answer in theirs.values()}
        assert ask_redis(stack).reachable
        assert {} == ids(other)
    finally:
        DockerBackend(other).remove()


def test_container_that_has_our_port_is_named(stack: Stack, tmp_path: Path) -> None:
    """A port that another project's container publishes: the error names the container and its project."""
    bring_up(stack)
    other_root = tmp_path / "another checkout"
    shutil.copytree(ROOT / "infra", other_root / "infra")
    other = make_stack(other_root, REDIS_URL=stack.url(Service.REDIS).reveal())

    with pytest.raises(DockerError) as caught:
        DockerBackend(other).start(SERVERS, quiet)

    assert f"Port {stack.url(Service.REDIS).port}" in str(caught.value)
    assert f"{stack.identity}-redis-1" in str(caught.value)
    assert {} == ids(other)


def test_process_that_has_our_port_is_named(stack: Stack) -> None:
    """A port that a process listens on: the error names the process, and nothing is left half-started."""
    with socket.create_server(("127.0.0.1", stack.url(Service.POSTGRES).port)):
        with pytest.raises(DockerError) as caught:
            DockerBackend(stack).start(SERVERS, quiet)

        assert f"pid {os.getpid()}" in str(caught.value)
        assert {} == ids(stack)


def test_clients_and_logs_of_the_containers(stack: Stack) -> None:
    """psql, redis-cli and the logs are the containers' own; there is no log where there is no container."""
    backend = DockerBackend(stack)
    absent = backend.log(Service.REDIS, follow=False)
    bring_up(stack)

    log = backend.log(Service.REDIS, follow=False)

    assert absent is None
    assert "choice_sherpa|sherpa" in output_of(
        backend.psql("SELECT current_database() || '|' || current_user")
    )
    assert "PONG" == output_of(backend.redis_cli("ping")).strip()
    assert isinstance(log, Command)
    assert "Ready to accept connections" in output_of(log)
