"""What may be wrong with the configuration. No text in here ever carries a secret's value."""

from collections.abc import Iterable
from dataclasses import dataclass


class InvalidValueError(ValueError):
    """A value can't be understood. The message says why, without the value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found: the variable to change, what is wrong with it and what would be right."""

    variable: str
    wrong: str
    right: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend: the variable, what is wrong, what would be right, where the value came from."""

    variable: str
    wrong: str
    right: str
    origin: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.wrong} [{self.origin}]. Right would be {self.right}."


class ConfigError(Exception):
    """The configuration can't be used; `faults` holds everything that is wrong with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        count = len(self.faults)
        title = f"The configuration has {count} fault{'s' if count != 1 else ''}:"
        return "\n".join([title, *(f"  {fault}" for fault in self.faults)])
