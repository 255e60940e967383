"""Reading a checkout's settings: those of `.env`, under those of the process environment."""

import os
from pathlib import Path

from sherpa.config import ConfigError, load
from sherpa.devstack import envfile
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import Stack, StackSettings

# What runs is known by its folder and its identity: to stop it, any address does.
SOMEWHERE = {
    "DATABASE_URL": "postgresql://sherpa@127.0.0.1/choice_sherpa",
    "REDIS_URL": "redis://127.0.0.1",
}


def read_stack(root: Path) -> Stack:
    """The stack as its `.env` says. Raises ConfigError with every fault, StackError without an `.env`."""
    file = envfile.path_of(root)
    if not file.exists():
        raise StackError(
            f"There is no {file}: nothing was ever brought up here.", remedy="Do it: uv run inv up"
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
