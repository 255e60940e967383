"""One finding of the doctor."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. Only a failure keeps the stack from working."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Finding:
    """What was looked at and what was found; `remedy` is what mends it, "" when nothing is wrong."""

    subject: str
    level: Level
    text: str
    remedy: str = ""


def well(subject: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(subject, Level.OK, text)


def note(subject: str, text: str, remedy: str) -> Finding:
    """Nothing is wrong, but there is something to know."""
    return Finding(subject, Level.NOTE, text, remedy)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """It works, and should be mended all the same."""
    return Finding(subject, Level.WARNING, text, remedy)


def failure(subject: str, text: str, remedy: str) -> Finding:
    """It doesn't work."""
    return Finding(subject, Level.FAILURE, text, remedy)
