"""Squawk itself: a program that reads SQL and remarks on what would hurt a database in use."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# A statement in the tree that Squawk prints of a script, with its place in bytes.
_BLOCK = re.compile(r"^  (?:DO|CALL)@(\d+)\.\.", re.MULTILINE)


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
    options = ["--reporter=json", f"--config={config}"]
    said = _run([*options, "--assume-in-transaction"] if transaction else options, sql)
    try:
        remarks = json.loads(said)
    except ValueError as error:
        raise SquawkError(f"Squawk failed: {said.strip()}") from error
    return [Remark(each["line"], each["rule_name"], each["message"], each["help"] or "") for each in remarks]


def find_blocks(sql: str) -> list[int]:
    """Return the lines on which a DO block or a CALL begins: what these run is no SQL that Squawk reads."""
    places = _BLOCK.findall(_run(["--debug=parse"], sql))
    return [sql.encode()[: int(place)].count(b"\n") for place in places]


def _run(options: list[str], sql: str) -> str:
    # Beside the running interpreter, not on PATH: each checkout has the version that it asks for.
    program = Path(sys.executable).with_name("squawk")
    try:
        ended = subprocess.run(
            [program, *options], input=sql, capture_output=True, check=False, encoding="utf-8"
        )
    except FileNotFoundError as error:
        raise SquawkError("Squawk is not installed: uv sync") from error
    return ended.stdout or ended.stderr
