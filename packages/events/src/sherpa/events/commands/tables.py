"""How commands show what they found: columns for people, plain JSON for scripts."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sherpa.events.operations.moments import in_words

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def rows_as_text(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of rows; control characters of what others wrote become visible, not effective."""
    shown = [[_visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in shown)
    return "\n".join(line.rstrip() for line in lines)


def as_json(found: "DataclassInstance", *, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a dataclass as what `json.dumps` takes: times in RFC 3339, ids as text."""
    facts = dataclasses.asdict(found)
    return {name: _plain(value) for name, value in facts.items() if name not in without}


def counted(number: int, what: str) -> str:
    """Return `1 group`, `2 groups`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def visible_lines(text: str) -> str:
    """Keep line ends and tabs of a text that others wrote, and show its other control characters."""
    return "".join(each if each in "\n\t" else _visible(each) for each in text)


def _visible(text: str) -> str:
    # An error's text may hold anything, an escape sequence for the reader's terminal among it.
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _plain(value: object) -> object:
    match value:
        case datetime():
            return in_words(value)
        case UUID():
            return str(value)
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value
