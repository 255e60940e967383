"""Python's values as PostgreSQL's literals, for SQL that is shown instead of sent with its parameters."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

# A parameter stands outside quotes and comments; what stands inside is passed over.
_PARAMETER: Final = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$
  | (?<![\w$])\$(?P<number>\d+)
    """,
    re.VERBOSE | re.DOTALL,
)


def fill_in(query: str, arguments: Sequence[object]) -> str:
    """Return the query with each `$n` replaced by the literal of its argument, the first being `$1`."""
    return _PARAMETER.sub(
        lambda match: literal(arguments[int(match["number"]) - 1]) if match["number"] else match[0], query
    )


def literal(value: object) -> str:
    """Return the value as a quoted literal, which takes the type of the place where it stands, or NULL."""
    return "NULL" if value is None else "'" + _text(value).replace("'", "''") + "'"


def _text(value: object) -> str:
    match value:
        case bytes():
            return f"\\x{value.hex()}"
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return f"{value.total_seconds():f} seconds"
        case list() | tuple():
            return "{" + ",".join(map(_element, value)) + "}"
        case _:
            return str(value)


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return _text(value)
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
