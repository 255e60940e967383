"""Serving for a developer: the process starts anew whenever the code changes. Never in production."""

import os
import shlex
import sys
from importlib import import_module

import sherpa
from sherpa.api.errors import StartupError
from sherpa.telemetry.logging import get_logger

_log = get_logger(__name__)


def serve_reloading() -> int:
    """Run `python -m sherpa.api` under a watch of every package's code until told to stop."""
    try:
        watchfiles = import_module("watchfiles")  # a development tool: images have none
    except ImportError as error:
        raise StartupError(
            "--reload needs the package watchfiles: run it in the development environment."
        ) from error
    folders = [os.fspath(folder) for folder in sherpa.__path__]
    _log.info("watching", folders=folders)
    os.environ["SHUTDOWN_DRAIN_SECONDS"] = "0"  # no balancer to wait for, a developer who does
    command = shlex.join([sys.executable, "-m", "sherpa.api"])
    watchfiles.run_process(*folders, target=command, target_type="command")
    return 0
