"""Serving for a developer: the process starts anew whenever the code changes. Never in production."""

import os
import shlex
import sys
from pathlib import Path

import sherpa
from sherpa.api.errors import StartupError
from sherpa.telemetry.logging import get_logger

try:
    import watchfiles
except ImportError:  # it comes with the development tools, and images have none
    watchfiles = None  # type: ignore[assignment]

_log = get_logger(__name__)


def serve_reloading() -> int:
    """Run `python -m sherpa.api` under a watch until told to stop."""
    if watchfiles is None:
        raise StartupError("--reload needs the package `watchfiles`, which the development environment has.")
    folders = [Path(folder) for folder in sherpa.__path__]
    _log.info("watching", folders=[os.fspath(folder) for folder in folders])
    command = shlex.join([sys.executable, "-m", "sherpa.api"])
    watchfiles.run_process(*folders, target=command, target_type="command")
    return 0
