"""Errors and entries as PostgreSQL can hold them, whatever letters are in them and however long they are."""

import json
import traceback
from typing import Final

from sherpa.events.brokers.broker import Fields

_LONGEST_ERROR: Final = 2_000
_LONGEST_TRACEBACK: Final = 20_000


def told(error: BaseException) -> str:
    """Return the error's type and message."""
    # This knows what to do where str() fails.
    return _storable("".join(traceback.format_exception_only(error)).strip(), _LONGEST_ERROR)


def traced(error: BaseException) -> str:
    """Return the error's traceback, with that of its causes. It takes half a millisecond."""
    return _storable("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK)


def as_json(fields: Fields) -> str:
    """Return an entry's fields as text for jsonb."""
    # JSON can hold a NUL and half of a surrogate pair, jsonb can't: such an entry is kept to be looked at.
    return json.dumps({_storable(name): _storable(text) for name, text in fields.items()}, ensure_ascii=False)


def _storable(text: str, longest: int | None = None) -> str:
    """Return the text as PostgreSQL can hold it, with the end where it is too long: errors are told there."""
    readable = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if longest is None or len(readable) <= longest:
        return readable
    return "…" + readable[1 - longest :]
