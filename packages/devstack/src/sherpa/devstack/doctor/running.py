"""Findings about what runs: ports, identities, the schema, the API and the worker."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from sherpa.config import ConfigError
from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.backends.backend import Backend
from sherpa.devstack.doctor.finding import Finding, failure, note, warning, well
from sherpa.devstack.errors import StackError
from sherpa.devstack.ownership import app_conflict, conflict, is_ours
from sherpa.devstack.probe import Answer, AppAnswer, ask_app, ask_servers
from sherpa.devstack.report import present_backend
from sherpa.devstack.settings import read_stack
from sherpa.devstack.stack import APPS, Service, Stack

UP = "uv run inv up"
REASSIGN = "uv run inv up --reassign-ports"


def examine_running(root: Path) -> Iterator[Finding]:
    """Ask the servers and our own processes, as far as the settings can be read."""
    try:
        stack = read_stack(root)
        backend = present_backend(stack)
    except (StackError, ConfigError):
        # The checkout's findings say why.
        return
    for answer in asyncio.run(ask_servers(stack)).values():
        yield from _server(stack, backend, answer)
    for app in APPS:
        yield _app(stack, backend, app)


def _server(stack: Stack, backend: Backend, answer: Answer) -> Iterator[Finding]:
    try:
        found = conflict(stack, answer, backend)
    except StackError as error:
        yield failure(answer.service, error.problem, error.remedy)
        return
    if found:
        yield failure(answer.service, str(found), REASSIGN)
    elif is_ours(stack, answer, backend.name):
        yield well(
            answer.service, f"{answer.version} answers at {stack.url(answer.service)}, as {answer.identity}"
        )
    elif backend.states()[answer.service].running:
        yield failure(answer.service, f"runs, but doesn't serve ({answer.detail or answer.verdict})", UP)
    else:
        yield note(answer.service, f"does not run ({answer.detail or answer.verdict})", UP)
    if answer.migrations and answer.migrations.missing:
        unknown = ", ".join(answer.migrations.missing)
        yield warning("schema", f"applied, and unknown to this code: {unknown}", "uv run inv migrations")
    elif answer.migrations and answer.migrations.pending:
        yield warning("schema", f"pending: {', '.join(answer.migrations.pending)}", "uv run inv migrate")
    elif answer.migrations:
        yield well("schema", f"{len(answer.migrations.applied)} migrations applied, none pending")


def _app(stack: Stack, backend: Backend, app: Service) -> Finding:
    background = AppProcess(stack.root, app)
    process = background.find()
    deployed = backend.states().get(app)
    if process is None and deployed and deployed.running:
        return _judged(app, ask_app(stack, app), f"container {deployed.container}")
    if found := app_conflict(stack, app, ours=background.listens(stack)):
        return failure(app, str(found), REASSIGN)
    if process is None:
        return note(app, "does not run in the background", UP)
    return _judged(app, background.ask(stack), f"pid {process.pid}")


def _judged(app: Service, answer: AppAnswer, who: str) -> Finding:
    if not answer.ready:
        return failure(app, f"is not ready: {answer.detail or 'no answer'}", f"uv run inv logs {app}")
    return well(app, f"{who}, {answer.status or 'ready'}")
