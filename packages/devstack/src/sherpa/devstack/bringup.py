"""`up`: from whatever is there to everything running, and nothing touched that runs already.

Each step looks first and acts only on what is missing, so that a run which was cut off anywhere is simply
continued by the next one.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sherpa.devstack import envfile, memory, servers
from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.backends.choice import AUTO, BACKENDS, Choice, choose
from sherpa.devstack.errors import PortTakenError, StackError
from sherpa.devstack.ownership import (
    app_conflict,
    conflict,
    is_ours,
    require_distinct_ports,
    require_none,
    require_run_by,
)
from sherpa.devstack.probe import Answer, AppAnswer, ask_servers
from sherpa.devstack.progress import Progress
from sherpa.devstack.schema import bring_to_head
from sherpa.devstack.settings import create_settings, read_stack
from sherpa.devstack.stack import APPS, TITLES, Service, Stack
from sherpa.devstack.turn import turn

ATTEMPTS = 10
SCATTER = 50


@dataclass(frozen=True)
class Request:
    """What `inv up` was asked for. Without the API there is no worker, either: servers and schema only."""

    backend: str = AUTO
    api: bool = True
    reassign_ports: bool = False
    worker: bool = True

    @property
    def apps(self) -> tuple[Service, ...]:
        """The processes of ours that are to run."""
        wanted = {Service.API: self.api, Service.WORKER: self.api and self.worker}
        return tuple(app for app in APPS if wanted[app])


@dataclass(frozen=True)
class Outcome:
    """What runs now; of our own processes those that were asked for."""

    stack: Stack
    choice: Choice
    answers: Mapping[Service, Answer]
    apps: Mapping[Service, AppAnswer]


def bring_up(root: Path, request: Request, progress: Progress) -> Outcome:
    """Bring this checkout's stack up and return what runs.

    Raises StackError, ConfigError or DatabaseError; what was started by then stays, and the next run goes on.
    """
    with turn(root, progress.say):
        is_new = _write_settings(root, request, progress)
        for _ in range(ATTEMPTS):
            try:
                return _converge(read_stack(root), request, progress)
            except PortTakenError as taken:
                # Another clone's first `up` may take a port between our look and our start. While nobody has
                # read our new `.env`, other ports are ours to choose: not the next ones, which all would
                # take that meet here, and meet again.
                if not is_new:
                    raise
                moves = envfile.reassign(root, taken.variables, skip=secrets.randbelow(SCATTER))
                _tell(moves, progress)
        return _converge(read_stack(root), request, progress)


def _write_settings(root: Path, request: Request, progress: Progress) -> bool:
    """Make `.env` if there is none, and say whether it was made; move its ports when that was asked for."""
    moves = create_settings(root)
    if moves is not None:
        progress.say(f"wrote {envfile.path_of(root)}, with a database password of its own")
        _tell(moves, progress)
    if request.reassign_ports:
        _reassign(root, request, progress)
    return moves is not None


def _reassign(root: Path, request: Request, progress: Progress) -> None:
    stack = read_stack(root)
    answers = asyncio.run(ask_servers(stack))
    try:
        _require_free_ports(stack, _choose(stack, request, answers), answers, request)
    except PortTakenError as taken:
        moves = envfile.reassign(root, taken.variables)
        if not moves:
            raise
        _tell(moves, progress)
    else:
        progress.say("no port of this stack is taken by anyone else: .env stays as it is")


def _tell(moves: tuple[envfile.Move, ...], progress: Progress) -> None:
    for move in moves:
        progress.say(str(move))


def _converge(stack: Stack, request: Request, progress: Progress) -> Outcome:
    answers = asyncio.run(ask_servers(stack))
    choice = _choose(stack, request, answers)
    _require_free_ports(stack, choice, answers, request)
    if stack.local:
        memory.remember(stack.root, choice.backend.name)
    missing = [service for service, answer in answers.items() if not answer.reachable]
    if missing:
        answers = servers.start(stack, choice, missing, progress)
    postgres = servers.ensure_database(stack, choice.backend.name, answers[Service.POSTGRES], progress)
    apps = [AppProcess(stack.root, app) for app in request.apps]
    for app in apps:
        # It takes a second to load and waits for the schema by itself, so the migrations run meanwhile.
        app.ensure_started(stack, progress)
    migrations = bring_to_head(stack, choice.backend.name, postgres, progress)
    if apps and not migrations.at_head:
        titles = " and ".join(f"the {TITLES[app]}" for app in request.apps)
        raise StackError(
            f"{stack.url(Service.POSTGRES)} lacks {', '.join(migrations.pending)}: {titles} can't get ready.",
            remedy="Apply what is pending, if you may, and go on: uv run inv migrate && uv run inv up",
        )
    answers = {**answers, Service.POSTGRES: replace(postgres, migrations=migrations)}
    return Outcome(stack, choice, answers, {each.app: each.ensure_ready(stack, progress) for each in apps})


def _choose(stack: Stack, request: Request, answers: Mapping[Service, Answer]) -> Choice:
    """Keep the backend that everything runs with, without asking Docker anything; else choose."""
    had = memory.recall(stack.root)
    keeps = had if stack.local and request.backend in {AUTO, had} else None
    if keeps and all(is_ours(stack, each, keeps) for each in answers.values()):
        return Choice(BACKENDS[keeps](stack), "as before")
    choice = choose(stack, request.backend, had)
    require_run_by(choice.backend, stack, answers.values())
    return choice


def _require_free_ports(
    stack: Stack, choice: Choice, answers: Mapping[Service, Answer], request: Request
) -> None:
    require_distinct_ports(stack)
    found = [conflict(stack, answer, choice.backend) for answer in answers.values()]
    found += [
        app_conflict(stack, app, choice.backend, ours=AppProcess(stack.root, app).listens(stack))
        for app in request.apps
    ]
    require_none(found)
