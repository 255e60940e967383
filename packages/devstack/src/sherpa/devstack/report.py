"""The stack described: for people as a short table, for programs as JSON. Passwords are masked in both."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sherpa.db.migrations.status import Status
from sherpa.devstack import memory
from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.backends.backend import Backend, BackendName, ServiceState
from sherpa.devstack.backends.choice import AUTO, BACKENDS, choose
from sherpa.devstack.bringup import Outcome
from sherpa.devstack.ownership import is_ours
from sherpa.devstack.probe import Answer, AppAnswer, app_url, ask_app, ask_servers
from sherpa.devstack.settings import read_stack
from sherpa.devstack.stack import APPS, SERVERS, Service, Stack

FOOT = "  stop: uv run inv down   state: uv run inv status   logs: uv run inv logs   SQL: uv run inv psql"


@dataclass(frozen=True)
class Row:
    """One process: `health` is `ok` (or its own word) when it serves a client, else what is wrong."""

    service: str
    state: str
    pid: int | None
    container: str | None
    port: int
    url: str
    version: str
    health: str
    milliseconds: float

    @property
    def well(self) -> bool:
        """Whether it serves a client."""
        return self.health in {"ok", "degraded"}


@dataclass(frozen=True)
class Description:
    """A whole stack."""

    stack: Stack
    backend: BackendName
    rows: tuple[Row, ...]
    migrations: Status | None

    @property
    def well(self) -> bool:
        """Whether everything runs, on the code's schema."""
        return all(row.well for row in self.rows) and self.migrations is not None and self.migrations.at_head


def describe(root: Path) -> Description:
    """Ask everything there is, side by side with what the processes show. Changes nothing."""
    stack = read_stack(root)
    backend = present_backend(stack)
    answers = asyncio.run(ask_servers(stack))
    states = backend.states()
    rows = [_server_row(stack, backend, answers[service], states[service]) for service in SERVERS]
    rows += [_app_row(stack, app, states.get(app)) for app in APPS]
    return Description(stack, backend.name, tuple(rows), _trusted(stack, backend, answers[Service.POSTGRES]))


def present_backend(stack: Stack) -> Backend:
    """The backend that holds the stack's data, or the one that the next `up` would choose."""
    had = memory.recall(stack.root)
    return BACKENDS[had](stack) if had and stack.local else choose(stack, AUTO, None).backend


def as_json(description: Description) -> str:
    """The description for programs."""
    migrations = description.migrations
    return json.dumps(
        {
            "identity": description.stack.identity,
            "root": str(description.stack.root),
            "backend": description.backend,
            "well": description.well,
            "services": [asdict(row) for row in description.rows],
            "migrations": {
                "applied": list(migrations.applied_ids) if migrations else [],
                "pending": list(migrations.pending) if migrations else None,
            },
        },
        indent=2,
    )


def as_text(description: Description) -> str:
    """The description for people."""
    lines = [
        (row.service, row.state, _who(row), row.url, row.version, _health(row)) for row in description.rows
    ]
    heading = f"{description.stack.identity}  (backend: {description.backend})"
    return "\n".join([heading, *_columns(lines), f"  schema: {_schema(description.migrations)}"])


def outcome_as_text(outcome: Outcome, *, changed: bool) -> str:
    """What `up` ends with: what runs, where, which backend, how to stop."""
    stack, backend = outcome.stack, outcome.choice.backend.name
    state = "is up" if changed else "was up already, and nothing was changed"
    lines = [(service, str(stack.url(service)), _summary(outcome.answers[service])) for service in SERVERS]
    for app, answer in outcome.apps.items():
        lines.append((app, app_url(stack, app), f"{answer.status or 'ready'} at /health/ready"))
    return "\n".join([f"The stack {state} (backend: {backend}).", *_columns(lines), FOOT])


def _server_row(stack: Stack, backend: Backend, answer: Answer, state: ServiceState) -> Row:
    url = stack.url(answer.service)
    ours = is_ours(stack, answer, backend.name)
    health = (
        "ok" if ours else "not this stack's" if answer.reachable else answer.detail or str(answer.verdict)
    )
    return Row(
        answer.service,
        state.state,
        state.pid,
        state.container,
        url.port,
        str(url),
        answer.version if ours else "",
        health,
        answer.milliseconds,
    )


def _app_row(stack: Stack, app: Service, deployed: ServiceState | None) -> Row:
    """The process of `inv up`, else the container of `inv deploy`."""
    background = AppProcess(stack.root, app)
    process = background.find()
    state = deployed or ServiceState(app, "stopped")
    if process:
        state = ServiceState(app, "running", pid=process.pid)
    answer = background.ask(stack) if process else ask_app(stack, app)
    return Row(
        app,
        state.state,
        state.pid,
        state.container,
        stack.port(app),
        app_url(stack, app),
        _app_version(app) if process else "",
        _app_health(answer, runs=state.running),
        answer.milliseconds,
    )


def _app_version(app: Service) -> str:
    """The checkout's own, which the process runs; what is in a container, its image says."""
    try:
        return version(f"sherpa-{app}")
    except PackageNotFoundError:
        return ""


def _app_health(answer: AppAnswer, *, runs: bool) -> str:
    if not runs:
        return "stopped" if answer.code is None else "not this stack's"
    if answer.ready:
        return answer.status if answer.status == "degraded" else "ok"
    return answer.detail or "no answer"


def _trusted(stack: Stack, backend: Backend, answer: Answer) -> Status | None:
    return answer.migrations if is_ours(stack, answer, backend.name) else None


def _who(row: Row) -> str:
    return row.container or (f"pid {row.pid}" if row.pid else "")


def _health(row: Row) -> str:
    return f"{row.health} ({row.milliseconds:.0f} ms)" if row.well else row.health


def _schema(migrations: Status | None) -> str:
    if migrations is None:
        return "unknown"
    head = migrations.applied_ids[-1] if migrations.applied_ids else "none"
    beside = {"pending": migrations.pending, "unknown to this code": migrations.missing}
    told = [f"{len(ids)} {what} ({', '.join(ids)})" for what, ids in beside.items() if ids]
    return ", ".join([f"{len(migrations.applied_ids)} applied (newest {head})", *(told or ["at head"])])


def _summary(answer: Answer) -> str:
    if answer.migrations is None:
        return answer.version
    return f"PostgreSQL {answer.version}, {_schema(answer.migrations)}"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
