"""Compose v2, as Docker's plugin or as `docker-compose`, and how it is called for one stack.

Version 1 counts as absent: it can't read our file. The caller's COMPOSE_ variables and `.env` files never
count, only what is passed here, so one stack means the same project and the same ports in every shell.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sherpa.devstack.backends.backend import Command, Say
from sherpa.devstack.containers import DockerError

FILE = Path("infra/docker/compose.yaml")
OLDEST = (2, 24, 4)
CANDIDATES = (("docker", "compose"), ("docker-compose",))
TAIL = 15


@cache
def find_compose() -> tuple[str, ...]:
    """Return the command that is Compose v2. Raises DockerError, naming what was found instead."""
    found = []
    for command in CANDIDATES:
        version = _version(command)
        if version >= OLDEST:
            return command
        if version:
            found.append(f"`{' '.join(command)}` is {'.'.join(map(str, version))}")
    raise DockerError(
        f"Compose {'.'.join(map(str, OLDEST))} or newer is missing: {', '.join(found) or 'there is none'}.",
        remedy="Install Docker's Compose plugin (Debian, Ubuntu: sudo apt install docker-compose-v2 or "
        "docker-compose-plugin), or go without: inv up --backend embedded",
    )


def _version(command: Sequence[str]) -> tuple[int, ...]:
    """The version's numbers; none when the command isn't there."""
    if shutil.which(command[0]) is None:
        return ()
    done = subprocess.run(
        [*command, "version", "--short"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_clean_environment(),
    )
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
    return tuple(int(number) for number in match.groups()) if match and not done.returncode else ()


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "SHERPA_"))}


@dataclass(frozen=True)
class Compose:
    """Our compose file for one project, with the SHERPA_ variables that it takes, passwords among them."""

    root: Path
    project: str
    variables: Mapping[str, str] = field(repr=False)

    def command(self, *arguments: str) -> Command:
        """What runs Compose with these arguments."""
        prefix = [*find_compose(), "--project-name", self.project, "--file", str(self.root / FILE)]
        # No .env file: ours has other names than the file's, and values that Compose would take apart.
        return Command([*prefix, "--env-file", os.devnull, "--profile", "app", *arguments], self.variables)

    def run(self, *arguments: str, say: Say | None = None) -> None:
        """Run Compose to its end; `say` gets what it pulls. Raises DockerError with its last words."""
        command = self.command(*arguments)
        words: list[str] = []
        with subprocess.Popen(
            command.arguments,
            env=_clean_environment() | dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                words.append(line.strip())
                if say and re.search(r"\bPull(ing|ed)$", line.strip()):
                    say(line.strip())
        if process.returncode:
            said = "\n".join(word for word in words[-TAIL:] if word)
            raise DockerError(f"Compose could not do `{arguments[0]}` for {self.project}:\n{said}")

    def last_words(self, service: str) -> str:
        """The end of a service's log, or Compose's own words when it can't be had."""
        command = self.command("logs", "--no-color", "--no-log-prefix", "--tail", str(TAIL), service)
        done = subprocess.run(
            command.arguments,
            env=_clean_environment() | dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return done.stdout.strip()
