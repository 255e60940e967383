"""Squawk itself: a program that reads SQL and remarks on what would hurt a database in use."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class SquawkError(Exception):
    """Squawk could not do its work."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What Squawk found at a line of the SQL, counted from 0. `help` is its advice, if it has any."""

    row: int
    rule: str
    message: str
    help: str


def read(sql: str, *, transaction: bool, config: Path) -> list[Remark]:
    """Return Squawk's remarks on a script, which the runner puts in a transaction or not.

    Raises `SquawkError` when the program is missing or refuses its configuration.
    """
    # Beside the running interpreter, not on PATH: each checkout has the version that it asks for.
    program = Path(sys.executable).with_name("squawk")
    command = [str(program), "--reporter=json", f"--config={config}"]
    try:
        ended = subprocess.run(
            [*command, "--assume-in-transaction"] if transaction else command,
            input=sql,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise SquawkError("Squawk is not installed: uv sync") from error
    try:
        said = json.loads(ended.stdout)
    except ValueError as error:
        raise SquawkError(f"Squawk failed: {(ended.stderr or ended.stdout).strip()}") from error
    return [Remark(each["line"], each["rule_name"], each["message"], each["help"] or "") for each in said]
