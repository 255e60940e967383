"""What is wrong on this machine, and for each thing the command that mends it."""

from pathlib import Path
from typing import TextIO


def examine(root: Path, out: TextIO, *, as_json: bool) -> int:
    """Write the findings; return 1 when anything is wrong."""
    return 0
