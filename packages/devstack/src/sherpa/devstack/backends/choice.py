"""Which backend a stack gets, and why: what was asked for, else what it had before, else what is there."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sherpa.devstack.backends import docker
from sherpa.devstack.backends.backend import Backend, BackendName
from sherpa.devstack.backends.docker import DockerBackend
from sherpa.devstack.backends.embedded import EmbeddedBackend
from sherpa.devstack.backends.external import ExternalBackend
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import Stack

AUTO: Final = "auto"
NAMES: Final = (AUTO, *(name.value for name in BackendName))

BACKENDS: Final[dict[BackendName, Callable[[Stack], Backend]]] = {
    BackendName.DOCKER: DockerBackend,
    BackendName.EMBEDDED: EmbeddedBackend,
    BackendName.EXTERNAL: ExternalBackend,
}


@dataclass(frozen=True)
class Choice:
    """A backend, and the reason for it in words that follow its name."""

    backend: Backend
    why: str


def choose(stack: Stack, wanted: str, had: BackendName | None) -> Choice:
    """Choose the backend for this stack. `had` is the one that holds its data so far.

    Raises StackError when the wanted one can't be used, or when the other one is still running.
    """
    name, why = _name(stack, wanted, had)
    if name is BackendName.DOCKER and (absence := docker.absence()):
        raise _docker_is_away(absence, had)
    if had not in {None, name, BackendName.EXTERNAL}:
        _require_stopped(stack, had, name)
    return Choice(BACKENDS[name](stack), why)


def _name(stack: Stack, wanted: str, had: BackendName | None) -> tuple[BackendName, str]:
    if wanted != AUTO:
        return BackendName(wanted), "as asked for"
    if not stack.local:
        return BackendName.EXTERNAL, "DATABASE_URL and REDIS_URL name other hosts"
    if had:
        return had, "as before"
    if _has_embedded_data(stack):
        return BackendName.EMBEDDED, "its data is here"
    if absence := docker.absence():
        return BackendName.EMBEDDED, absence
    return BackendName.DOCKER, "its daemon answers and Compose is there"


def _has_embedded_data(stack: Stack) -> bool:
    """The note of which backend it was may be lost; the data says it, too."""
    # Where no embedded server can run, none has left anything.
    with contextlib.suppress(StackError):
        return any(each.state != "absent" for each in EmbeddedBackend(stack).states().values())
    return False


def _docker_is_away(absence: str, had: BackendName | None) -> StackError:
    if had is BackendName.DOCKER:
        return StackError(
            f"This stack lives in Docker, which can't be used now: {absence}.",
            remedy="Start it and try again. Or, with an empty database: uv run inv up --backend embedded",
        )
    return StackError(
        f"Docker can't be used: {absence}.", remedy="Without Docker: uv run inv up --backend embedded"
    )


def _require_stopped(stack: Stack, had: BackendName | None, name: BackendName) -> None:
    """Two backends at once would be two databases, with nobody knowing which one is meant."""
    if had is None or (had is BackendName.DOCKER and docker.absence()):
        return
    running = [state.service for state in BACKENDS[had](stack).states().values() if state.running]
    if running:
        raise StackError(
            f"This stack runs with the {had} backend ({', '.join(running)}), so {name} can't take over.",
            remedy=f"Stop it first; its data stays: uv run inv down && uv run inv up --backend {name}",
        )
