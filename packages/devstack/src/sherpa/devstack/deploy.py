"""The image of this checkout, and running it on this machine: migrate, then the API and the worker.

What is deployed is what the tree holds, with the settings of `.env` and nothing of the caller's shell.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sherpa.config import ConfigError, load
from sherpa.db.errors import DatabaseError
from sherpa.devstack import containers, envfile, memory, ports, servers
from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.appsettings import VARIABLES, app_variables
from sherpa.devstack.backends import docker
from sherpa.devstack.backends.backend import BackendName
from sherpa.devstack.backends.choice import choose
from sherpa.devstack.compose import Compose, find_compose
from sherpa.devstack.containers import DockerError
from sherpa.devstack.errors import StackError
from sherpa.devstack.image import build, tag
from sherpa.devstack.ownership import VARIABLES as PORTS
from sherpa.devstack.ownership import conflict, require_none
from sherpa.devstack.probe import app_url, ask_app, ask_servers
from sherpa.devstack.progress import Progress
from sherpa.devstack.settings import create_settings
from sherpa.devstack.stack import APPS, SERVERS, TITLES, Service, Stack, StackSettings
from sherpa.devstack.turn import turn

MIGRATE = "migrate"
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


def image(root: Path) -> int:
    """Build the image of this tree; return the exit code, 0 or 1."""
    return _guard(lambda: _image(root.resolve()))


def deploy(root: Path) -> int:
    """Build the image, run it with its servers, wait until it is ready and say where; return 0 or 1."""
    return _guard(lambda: _deploy(root.resolve()))


def _guard(work: Callable[[], None]) -> int:
    try:
        work()
    except (StackError, ConfigError, DatabaseError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What was started goes on; `uv run inv deploy` continues.", file=sys.stderr)
        return 1
    return 0


def _image(root: Path) -> None:
    built = build(root)
    print(f"\nBuilt {built.reference}, also {built.latest}. Run it here: inv deploy")


def _deploy(root: Path) -> None:
    containers.require_engine()
    find_compose()
    progress = Progress()
    with turn(root, progress.say):
        stack = _read_stack(root, progress)
        _require_local(stack)
        for app in APPS:
            _require_room(stack, app)
        built = build(root)
        _start_servers(stack, progress)
        compose = Compose(
            root, stack.identity, docker.variables(stack) | app_variables(stack, tag(built, stack.identity))
        )
        with progress.step(
            "migrating, then starting API and worker", "schema migrated, API and worker started"
        ):
            _start_apps(compose)
        for app in APPS:
            with progress.step(f"waiting for the {TITLES[app]}", f"{TITLES[app]} ready"):
                _await_ready(stack, compose, app)
    print(
        f"\n  API    {app_url(stack, Service.API)}  (ready: /health/ready)"
        f"\n  worker {app_url(stack, Service.WORKER)}  (ready: /health/ready, metrics: /metrics)"
        f"\n  image  {built.reference}"
        "\n  logs   uv run inv logs api --follow"
        "\n  stop   uv run inv down  (the data stays)"
    )


def _read_stack(root: Path, progress: Progress) -> Stack:
    for move in create_settings(root) or ():
        progress.say(str(move))
    return Stack(root, load(StackSettings, environ={}, dotenv=envfile.path_of(root)))


def _require_local(stack: Stack) -> None:
    for service in SERVERS:
        if service not in stack.local:
            raise StackError(
                f"`inv deploy` has servers of its own, {VARIABLES[service]} names {stack.url(service).host}.",
                remedy="Where the servers are elsewhere, run the image itself: docs/deployment.md",
            )


def _require_room(stack: Stack, app: Service) -> None:
    """Raise StackError when the port is taken, be it by this checkout's own process."""
    if process := AppProcess(stack.root, app).find():
        raise StackError(
            f"The {TITLES[app]} of `inv up` (pid {process.pid}) has the port that the container needs.",
            remedy="Stop it, then try again: inv down",
        )
    port = stack.port(app)
    ours = any(each.publishes(port) for each in containers.of_project(stack.identity))
    if not ours and not ports.is_free(port):
        raise StackError(
            f"Port {port}, which the {TITLES[app]} needs, is taken by {docker.holder(port)}.",
            remedy=f"Stop that, or set another {PORTS[app]} in .env, then try again.",
        )


def _start_servers(stack: Stack, progress: Progress) -> None:
    """Bring PostgreSQL and Redis to where they serve a client; leave alone what does so already."""
    choice = choose(stack, BackendName.DOCKER, memory.recall(stack.root))
    answers = asyncio.run(ask_servers(stack))
    require_none([each for answer in answers.values() if (each := conflict(stack, answer, choice.backend))])
    memory.remember(stack.root, BackendName.DOCKER)
    if missing := [service for service, answer in answers.items() if not answer.reachable]:
        answers = servers.start(stack, choice, missing, progress)
    servers.ensure_database(stack, BackendName.DOCKER, answers[Service.POSTGRES], progress)


def _start_apps(compose: Compose) -> None:
    try:
        compose.run("up", "--detach", "--remove-orphans", *SERVERS, MIGRATE, *APPS)
    except DockerError as error:
        said = f"\n{compose.last_words(MIGRATE)}" if f'"{MIGRATE}"' in error.problem else ""
        raise StackError(f"{error.problem}{said}", remedy="Mend that, then try again: inv deploy") from error


def _await_ready(stack: Stack, compose: Compose, app: Service) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not (answer := ask_app(stack, app)).ready:
        present = {each.service: each.state for each in containers.of_project(stack.identity)}
        state = present.get(app, "gone")
        if state != "running" or time.monotonic() > deadline:
            raise StackError(
                f"The {TITLES[app]} is not ready; its container is {state},"
                f" its answer: {answer.detail or 'none'}\n"
                f"{compose.last_words(app)}",
                remedy="Mend that, then try again: inv deploy. Or give up: inv down",
            )
        time.sleep(POLL_SECONDS)
