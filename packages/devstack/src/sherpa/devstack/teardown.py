"""`down`: whatever of this stack runs is stopped; its data stays unless it is to go as well."""

from pathlib import Path

from sherpa.devstack import memory
from sherpa.devstack.appprocess import AppProcess, stop_seconds
from sherpa.devstack.backends import docker
from sherpa.devstack.backends.backend import Backend, BackendName
from sherpa.devstack.backends.docker import DockerBackend
from sherpa.devstack.backends.embedded import EmbeddedBackend
from sherpa.devstack.errors import StackError
from sherpa.devstack.progress import Progress
from sherpa.devstack.settings import read_stack_to_stop
from sherpa.devstack.stack import APPS, Stack
from sherpa.devstack.turn import turn


def bring_down(root: Path, progress: Progress, *, volumes: bool) -> None:
    """Stop everything, and with `volumes` delete the data. A broken `.env` is no hindrance.

    Raises StackError when something can't be stopped.
    """
    with turn(root, progress.say):
        stack = read_stack_to_stop(root)
        for app in APPS:
            process = AppProcess(stack.root, app)
            if process.find():
                with progress.step(f"stopping the {process.title}", f"{process.title} stopped"):
                    process.stop(stop_seconds(stack, app))
        for backend in _backends(stack):
            _stop(backend, progress)
            if volumes:
                backend.remove()
        if not progress.did:
            progress.say("nothing was running")
        if volumes:
            memory.forget(root)
            progress.say("the data is deleted; .env stays")


def _stop(backend: Backend, progress: Progress) -> None:
    running = [state.service for state in backend.states().values() if state.running]
    if running:
        names = " and ".join(running)
        with progress.step(f"stopping {names}", f"{names} stopped ({backend.name})"):
            backend.stop()


def _backends(stack: Stack) -> list[Backend]:
    """Every backend that may hold something of this stack: the note of which one it was may be lost.

    `inv deploy`, too, leaves containers, whatever the backend is.
    """
    absence = docker.absence()
    if not absence:
        return [EmbeddedBackend(stack), DockerBackend(stack)]
    if memory.recall(stack.root) is BackendName.DOCKER:
        raise StackError(
            f"This stack lives in Docker, which can't be used now: {absence}.",
            remedy="Start Docker, then try again.",
        )
    return [EmbeddedBackend(stack)]
