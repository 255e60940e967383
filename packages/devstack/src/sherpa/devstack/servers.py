"""PostgreSQL and Redis brought to where they serve a client: started if they are ours, waited for always."""

import asyncio
import time
from collections.abc import Collection

import asyncpg

from sherpa.devstack.backends.backend import Backend, BackendName
from sherpa.devstack.backends.choice import Choice
from sherpa.devstack.errors import ServerFailedError, StackError
from sherpa.devstack.ownership import conflict, is_managed, require_none
from sherpa.devstack.probe import Answer, Verdict, ask_postgres, ask_servers, postgres_options
from sherpa.devstack.progress import Progress
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
            progress.say(f"backend {choice.backend.name}: {choice.why}")
            _start_own(stack, choice.backend, own, progress)
        return _await(stack, choice.backend, services, EXTERNAL_SECONDS if others else OWN_SECONDS)


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
            raise _too_late(stack, next(answer for answer in awaited if not answer.reachable), seconds)
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


def _too_late(stack: Stack, answer: Answer, seconds: float) -> ServerFailedError:
    return ServerFailedError(
        f"{answer.service} at {stack.url(answer.service)} does not serve a client after {seconds:.0f} s: "
        f"{answer.detail or answer.verdict}",
        remedy=f"See why: uv run inv logs {answer.service}, and: uv run inv doctor",
    )


def _done(own: Collection[Service], choice: Choice) -> str:
    return f"started ({choice.backend.name})" if own else "answered"
