"""How a section's field declares its variable: the one source for the loader, the report and the docs."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from sherpa.config.errors import Problem
from sherpa.config.kinds import Kind

_KEY = "sherpa.config"

type Rule = Callable[..., Problem | None]
"""A rule over several fields. Its parameters are named after the fields it needs (or `environment`);
it is asked only when all of them are sound."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable: its name, how it is read, and the field of the section that it fills."""

    name: str
    kind: Kind[Any]
    doc: str
    section: type
    field: str
    default: object
    member: str = ""  # of a family: what follows its prefix, in small letters

    @property
    def family(self) -> str:
        """The common beginning of a family of variables (`FEATURE_` of `FEATURE_*`), or nothing."""
        return self.name.removesuffix("*") if self.name.endswith("*") else ""

    def owns(self, name: str) -> bool:
        """Return whether `name` is well-formed as a member of this family."""
        return bool(self.family and re.fullmatch(rf"{self.family}[A-Z0-9_]*[A-Z0-9]", name))

    def named(self, name: str) -> "Variable":
        """Return the member of this family that is called `name`: FEATURE_DARK_MODE is its `dark_mode`."""
        return replace(self, name=name, member=name.removeprefix(self.family).lower())

    @property
    def required(self) -> bool:
        """Whether it must be set."""
        return self.default is MISSING

    @property
    def default_text(self) -> str:
        """The default as one would write it in `.env`; empty when there is none."""
        return "" if self.required else spell(self.default)


def variable(name: str, kind: Kind[Any], doc: str) -> Mapping[str, object]:
    """Return the metadata of a field that is read from the variable `name`; its default is the field's."""
    return {_KEY: (name, kind, doc)}


def variables_of(section: type) -> Iterator[Variable]:
    """Yield the variables that a section declares, in its order."""
    if is_dataclass(section):
        for field in fields(section):
            if _KEY in field.metadata:
                yield _variable(section, field)


def _variable(section: type, field: Field[Any]) -> Variable:
    name, kind, doc = field.metadata[_KEY]
    return Variable(name, kind, doc, section, field.name, field.default)


def spell(value: object) -> str:
    """Write a value the way a variable would hold it. A value that masks itself stays masked."""
    # The reader checks defaults by reading these texts, so each must be what its kind can read.
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return format(value, "g")
        case Enum():
            return str(value.value)
        case tuple():
            return ",".join(spell(item) for item in value)
        case _:
            return str(value)
