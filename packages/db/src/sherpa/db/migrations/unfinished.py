"""Migrations that somebody has yet to finish: a line of their SQL says so, and the runner refuses them."""

from typing import Final

MARK: Final = "-- TODO:"


def unfinished_lines(script: str) -> tuple[str, ...]:
    """Return the lines of a script that ask for a decision."""
    return tuple(line.strip() for line in script.splitlines() if line.lstrip().startswith(MARK))
