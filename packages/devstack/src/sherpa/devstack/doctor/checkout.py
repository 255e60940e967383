"""Findings about this checkout: its `.env` and what it remembers."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sherpa.config import ConfigError
from sherpa.devstack import envfile, memory
from sherpa.devstack.doctor.finding import Finding, failure, note, warning, well
from sherpa.devstack.errors import StackError
from sherpa.devstack.settings import read_stack, source_of
from sherpa.devstack.stack import is_usable


def examine_checkout(root: Path) -> Iterator[Finding]:
    """Look at `.env.example`, `.env` and `.sherpa`."""
    example = root / ".env.example"
    if not example.exists():
        yield failure(".env.example", "is missing", "git checkout .env.example")
    file = envfile.path_of(root)
    if not file.exists():
        yield note(".env", "is not there yet", "uv run inv up")
    else:
        yield from _settings(root, file)
    yield from _state(root)


def _settings(root: Path, file: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if not os.access(file, os.R_OK):
        yield failure(".env", f"can't be read (mode {mode:04o})", f'chmod 600 "{file}"')
        return
    if mode & 0o077:
        yield warning(
            ".env", f"holds secrets, and others can read it (mode {mode:04o})", f'chmod 600 "{file}"'
        )
    else:
        yield well(".env", f"mode {mode:04o}")
    try:
        read_stack(root)
    except ConfigError as error:
        yield failure("settings", str(error), f'$EDITOR "{file}"')
    except (StackError, OSError) as error:
        yield failure("settings", str(error), f'ls -l "{file}"')
    else:
        yield well("settings", "every value is well-formed")
    for variable in envfile.VARIABLES:
        if source_of(variable) != ".env":
            yield warning(
                "environment", f"{variable} is set in this shell and wins over .env", f"unset {variable}"
            )


def _state(root: Path) -> Iterator[Finding]:
    directory = root / ".sherpa"
    if not directory.exists():
        yield note("state", "nothing was ever brought up here", "uv run inv up")
        return
    facts = directory.stat()
    if facts.st_uid != os.geteuid():
        remedy = f'sudo chown -R "$(id -u):$(id -g)" "{directory}"'
        yield failure("state", f"{directory} belongs to user {facts.st_uid}", remedy)
    elif not is_usable(directory):
        yield failure(
            "state", f"{directory} can't be written to, though it is ours", f'chmod 700 "{directory}"'
        )
    elif stat.S_IMODE(facts.st_mode) & 0o077:
        yield warning("state", f"others can look into {directory}", f'chmod 700 "{directory}"')
    else:
        had = memory.recall(root)
        yield well("state", f"backend {had}" if had else "no backend chosen")
