"""Whether a server that answers is this stack's own. Nothing is migrated or written before this was asked."""

import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from sherpa.devstack import ports
from sherpa.devstack.backends import docker
from sherpa.devstack.backends.backend import Backend, BackendName
from sherpa.devstack.containers import DockerError
from sherpa.devstack.errors import ForeignDatabaseError, PortTakenError, StackError
from sherpa.devstack.probe import Answer, Verdict
from sherpa.devstack.settings import source_of
from sherpa.devstack.stack import APPS, TITLES, Service, Stack, is_identity

VARIABLES = {
    Service.POSTGRES: "DATABASE_URL",
    Service.REDIS: "REDIS_URL",
    Service.API: "PORT",
    Service.WORKER: "WORKER_PORT",
}


@dataclass(frozen=True)
class Conflict:
    """A port of ours that someone else has."""

    service: Service
    port: int
    what: str

    def __str__(self) -> str:
        """One line: what is there, and whose it is."""
        return f"{VARIABLES[self.service]} names port {self.port}, where {self.what} ({holder(self.port)})."


def holder(port: int) -> str:
    """Who listens on this port: a container by its name, or a process by pid and command."""
    if shutil.which("docker"):
        with contextlib.suppress(DockerError):
            return docker.holder(port)
    return ports.holder(port)


def is_managed(stack: Stack, backend: BackendName, service: Service) -> bool:
    """Whether this server is one that we start ourselves, and so one that must carry our identity."""
    return backend is not BackendName.EXTERNAL and service in stack.local


def is_ours(stack: Stack, answer: Answer, backend: BackendName) -> bool:
    """Whether a server lets us in and is the one that the settings mean.

    A server that somebody else runs was named by whoever wrote the URL: it may be called anything, but not
    what another checkout's stack is called.
    """
    if not answer.reachable:
        return False
    if is_managed(stack, backend, answer.service):
        return answer.identity == stack.identity
    return answer.identity == stack.identity or not is_identity(answer.identity)


def require_run_by(backend: Backend, stack: Stack, answers: Iterable[Answer]) -> None:
    """Raise StackError when servers answer as this stack's, and it is not this backend that runs them.

    They are the other one's, which can't be seen now: Docker is away, or the note of it was lost.
    """
    names = [answer.service for answer in answers if answer.identity == stack.identity]
    if names and not all(backend.states()[name].running for name in names):
        raise StackError(
            f"This stack's {' and '.join(names)} answer, but not by the {backend.name} backend.",
            remedy="Stop them first, with Docker started if they are in it: uv run inv down",
        )


def conflict(stack: Stack, answer: Answer, backend: Backend) -> Conflict | None:
    """What keeps us from using or starting this server, if anything does.

    Raises ForeignDatabaseError for another checkout's server elsewhere, StackError for a wrong password.
    """
    if is_ours(stack, answer, backend.name):
        return None
    if not is_managed(stack, backend.name, answer.service):
        _refuse_elsewhere(stack, answer)
        return None
    port = stack.url(answer.service).port
    kind = "PostgreSQL" if answer.service is Service.POSTGRES else "a Redis"
    if answer.reachable:
        name = f"called {answer.identity!r}" if answer.identity else "without a name"
        return Conflict(answer.service, port, f"{kind} {name} answers, not this stack's")
    state = backend.states()[answer.service]
    if state.running and state.port == port:
        if answer.verdict is Verdict.REFUSED:
            raise _wrong_password(answer)
        return None
    if answer.verdict is Verdict.REFUSED:
        return Conflict(answer.service, port, f"{kind} refuses our login, so it is not this stack's")
    return None if ports.is_free(port) else Conflict(answer.service, port, "something else listens")


def app_conflict(
    stack: Stack, app: Service, backend: Backend | None = None, *, ours: bool = False
) -> Conflict | None:
    """What keeps a process of ours from listening, unless it is `ours` that listens there already.

    Raises StackError when it is this stack's own, in the container of `inv deploy`.
    """
    port = stack.port(app)
    if ours or ports.is_free(port):
        return None
    deployed = backend.states().get(app) if backend else None
    if deployed and deployed.running:
        raise StackError(
            f"`inv deploy` runs this stack's {TITLES[app]}, in the container {deployed.container}.",
            remedy="Take that down first: uv run inv down && uv run inv up. "
            "Or leave it, with the servers alone: uv run inv up --no-api",
        )
    return Conflict(app, port, "something else listens")


def require_distinct_ports(stack: Stack) -> None:
    """Raise StackError when two of the settings name the same port of this machine."""
    named = {VARIABLES[service]: stack.url(service).port for service in stack.local}
    named |= {VARIABLES[app]: stack.port(app) for app in APPS}
    for (one, port), (other, other_port) in combinations(named.items(), 2):
        if port == other_port:
            raise StackError(
                f"{one} and {other} both name port {port}.",
                remedy=f"Give one of them another number, in {source_of(one)}.",
            )


def require_none(found: Iterable[Conflict | None]) -> None:
    """Raise one PortTakenError that names all of these conflicts and the way out; nothing for none."""
    conflicts = [each for each in found if each]
    if not conflicts:
        return
    variables = [VARIABLES[each.service] for each in conflicts]
    from_environment = [name for name in variables if source_of(name) == "the environment"]
    way_out = (
        f"{', '.join(from_environment)} comes from the environment: unset it, so that .env counts."
        if from_environment
        else "Stop it, or let this stack have other ports: uv run inv up --reassign-ports"
    )
    problem = "Someone else has a port of this stack, so nothing was started or written there:\n" + "\n".join(
        f"  {each}" for each in conflicts
    )
    raise PortTakenError(problem, variables=variables, remedy=way_out)


def _refuse_elsewhere(stack: Stack, answer: Answer) -> None:
    variable = VARIABLES[answer.service]
    if answer.reachable:
        raise ForeignDatabaseError(
            f"{stack.url(answer.service)} belongs to another stack ({answer.identity}).",
            remedy=f"Correct {variable} in {source_of(variable)}.",
        )
    if answer.verdict is Verdict.REFUSED:
        raise StackError(
            f"{stack.url(answer.service)} refuses us: {answer.detail}.",
            remedy=f"Correct {variable} in {source_of(variable)}.",
        )


def _wrong_password(answer: Answer) -> StackError:
    variable = VARIABLES[answer.service]
    if answer.service is Service.REDIS:
        return StackError(
            f"This stack's redis runs with another login than {variable} names: {answer.detail}",
            remedy="Start it anew, with the one of now; its data stays: uv run inv down && uv run inv up",
        )
    return StackError(
        f"This stack's {answer.service} refuses the login in {variable}: {answer.detail}.",
        remedy=f"{variable} in {source_of(variable)} must name the user and password the data was made with. "
        "Put them back, or begin anew without the data: uv run inv down --volumes && uv run inv up",
    )
