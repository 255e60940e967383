"""PostgreSQL and Redis brought to where they serve a client: started if they are ours, waited for always."""

import asyncio
import time
from collections.abc import Collection

import asyncpg

from sherpa.config import SslMode
from sherpa.devstack.backends.backend import Backend, BackendName
from sherpa.devstack.backends.choice import Choice
from sherpa.devstack.errors import ServerFailedError, StackError
from sherpa.devstack.ownership import VARIABLES, conflict, is_managed, require_none
from sherpa.devstack.probe import Answer, Verdict, ask_postgres, ask_servers, postgres_options
from sherpa.devstack.progress import Progress
from sherpa.devstack.settings import source_of
from sherpa.devstack.stack import Service, Stack

OWN_SECONDS = 120.0
EXTERNAL_SECONDS = 30.0
POLL_SECONDS = 0.01
LOOK_SECONDS = 1.0


def start(
    stack: Stack, choice: Choice, services: Collection[Service], progress: Progress
) -> dict[Service, Answer]:
    """Start these servers at the same time, wait until each serves a client, and return all answers.

    Raises PortTakenError when someone else answers in one's place, ServerFailedError when one doesn't come.
    """
    own = [service for service in services if is_managed(stack, choice.backend.name, service)]
    others = [service for service in services if service not in own]
    names = " and ".join(services)
    with progress.step(
        f"starting {names}" if own else f"waiting for {names}", f"{names} {_done(own, choice)}"
    ):
        if own:
            _require_no_tls(stack, own)
            progress.say(f"backend {choice.backend.name}: {choice.why}")
            _start_own(stack, choice.backend, own, progress)
        return _await(stack, choice.backend, services, EXTERNAL_SECONDS if others else OWN_SECONDS)


def _require_no_tls(stack: Stack, own: Collection[Service]) -> None:
    """Servers of our own serve this machine alone, without TLS: who insists on it would wait in vain."""
    wants_tls = {
        Service.POSTGRES: stack.settings.database.ssl_mode not in {SslMode.DISABLE, SslMode.PREFER},
        Service.REDIS: stack.url(Service.REDIS).scheme == "rediss",
    }
    if found := [service for service in own if wants_tls[service]]:
        raise StackError(
            f"The settings ask for TLS, which this stack's own {' and '.join(found)} can't speak.",
            remedy="For servers on this machine: DATABASE_SSL_MODE=disable and REDIS_URL=redis://…",
        )


def _start_own(stack: Stack, backend: Backend, own: Collection[Service], progress: Progress) -> None:
    try:
        backend.start(own, progress.say)
    except StackError:
        # Someone may have taken a port since we looked: then that is what went wrong.
        answers = asyncio.run(ask_servers(stack))
        require_none(conflict(stack, answers[service], backend) for service in own)
        raise


def ensure_database(stack: Stack, backend: BackendName, answer: Answer, progress: Progress) -> Answer:
    """Create the stack's database in a server of our own if it isn't there; return the server's answer."""
    if answer.verdict is not Verdict.NO_DATABASE:
        return answer
    name = stack.url(Service.POSTGRES).database
    if not is_managed(stack, backend, Service.POSTGRES):
        raise StackError(
            f"{stack.url(Service.POSTGRES)}: the server has no database {name!r}.",
            remedy="Create it there, or correct DATABASE_URL in .env.",
        )
    with progress.step(f"creating database {name}", f"database {name} created"):
        return asyncio.run(_create_database(stack, name))


async def _create_database(stack: Stack, name: str) -> Answer:
    connection = await asyncpg.connect(**postgres_options(stack, "postgres"))
    try:
        quoted = name.replace('"', '""')
        await connection.execute(f'CREATE DATABASE "{quoted}"')
    finally:
        await connection.close()
    return await ask_postgres(stack)


def _await(
    stack: Stack, backend: Backend, services: Collection[Service], seconds: float
) -> dict[Service, Answer]:
    deadline = time.monotonic() + seconds
    next_look = time.monotonic() + LOOK_SECONDS
    while True:
        answers = asyncio.run(ask_servers(stack))
        awaited = [answers[service] for service in services]
        if all(answer.reachable for answer in awaited):
            require_none(conflict(stack, answer, backend) for answer in awaited)
            return answers
        if time.monotonic() > deadline:
            raise _too_late(stack, backend, next(each for each in awaited if not each.reachable), seconds)
        if time.monotonic() > next_look:
            _require_alive(stack, backend, awaited)
            next_look += LOOK_SECONDS
        time.sleep(POLL_SECONDS)


def _require_alive(stack: Stack, backend: Backend, awaited: Collection[Answer]) -> None:
    """Give up early on a server that has ended, or that will never let us in."""
    states = backend.states()
    for answer in awaited:
        if not is_managed(stack, backend.name, answer.service):
            continue
        if answer.verdict is Verdict.REFUSED:
            require_none([conflict(stack, answer, backend)])
        elif not states[answer.service].running:
            raise ServerFailedError(
                f"{answer.service} ended while it started ({states[answer.service].state}).",
                remedy=f"See why: uv run inv logs {answer.service}",
            )


def _too_late(stack: Stack, backend: Backend, answer: Answer, seconds: float) -> ServerFailedError:
    remedy = f"See why: uv run inv logs {answer.service}, and: uv run inv doctor"
    if not is_managed(stack, backend.name, answer.service):
        variable = VARIABLES[answer.service]
        remedy = (
            f"It is somebody else's to start. If it is up, correct {variable} in {source_of(variable)}; "
            "for a server of this stack's own, name 127.0.0.1 there and choose --backend embedded or docker."
        )
    return ServerFailedError(
        f"{answer.service} at {stack.url(answer.service)} does not serve a client after {seconds:.0f} s: "
        f"{answer.detail or answer.verdict}",
        remedy=remedy,
    )


def _done(own: Collection[Service], choice: Choice) -> str:
    return f"started ({choice.backend.name})" if own else "answered"
