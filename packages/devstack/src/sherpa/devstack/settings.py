"""A checkout's settings, written once and read: those of `.env`, under those of the process environment."""

import os
from pathlib import Path

from sherpa.config import ConfigError, load
from sherpa.devstack import envfile, memory
from sherpa.devstack.envfile import Move
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import Stack, StackSettings

# What runs is known by its folder and its identity: to stop it, any address does.
SOMEWHERE = {
    "DATABASE_URL": "postgresql://sherpa@127.0.0.1/choice_sherpa",
    "REDIS_URL": "redis://127.0.0.1",
}


def create_settings(root: Path) -> tuple[Move, ...] | None:
    """Write `.env` if there is none; return the ports that were moved, or None when there is one.

    Raises StackError when it was there once: a new password doesn't open the data that the old one closed.
    """
    file = envfile.path_of(root)
    if not file.exists() and memory.recall(root):
        raise StackError(
            f"{file} is gone, and with it the password of this stack's database.",
            remedy="Put it back, or begin anew without the data: uv run inv down --volumes && uv run inv up",
        )
    return envfile.create(root)


def read_stack(root: Path) -> Stack:
    """The stack as its `.env` says. Raises ConfigError with every fault, StackError without an `.env`."""
    file = envfile.path_of(root)
    if not file.exists():
        raise StackError(
            f"There is no {file}, so no stack is known here.", remedy="Bring it up: uv run inv up"
        )
    return Stack(root.resolve(), load(StackSettings, dotenv=file))


def read_stack_to_stop(root: Path) -> Stack:
    """A stack good enough to find and stop what runs: a missing or broken `.env` must not keep it running."""
    try:
        return read_stack(root)
    except (ConfigError, StackError):
        return Stack(root.resolve(), load(StackSettings, environ=SOMEWHERE, dotenv=None))


def source_of(variable: str) -> str:
    """Where a variable's value comes from, for messages about it."""
    return "the environment" if os.environ.get(variable) else ".env"
