"""Exceptions as data and as text: the chain, the notes and the frames, never the frames' variables."""

import sys
import traceback
from types import TracebackType
from typing import cast

from structlog.tracebacks import ExceptionDictTransformer

from sherpa.telemetry.redaction import plain

type ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]

MOST_FRAMES = 20

# Local variables hold secrets. Frames beyond the limit are left out in the middle: both ends tell most.
_describe = ExceptionDictTransformer(show_locals=False, max_frames=MOST_FRAMES)


def exception_of(given: object) -> ExceptionInfo | None:
    """Return the exception that `exc_info=` means: itself, a triple, or True for the one being handled."""
    if isinstance(given, BaseException):
        return (type(given), given, given.__traceback__)
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        return cast("ExceptionInfo", given)
    if given is True:
        return exception_of(sys.exc_info())
    return None


def describe(failure: ExceptionInfo) -> object:
    """Return the chain of an exception, outermost first, each with type, message, notes and frames."""
    try:
        return _bounded(_describe(failure))
    except Exception as error:  # noqa: BLE001 — an exception may be as broken as any object
        return [{"exc_type": failure[0].__name__, "exc_value": _unshowable(error)}]


def trace(failure: ExceptionInfo) -> str:
    """Return the traceback as Python prints it, with the innermost frames of each exception."""
    try:
        return "".join(traceback.format_exception(*failure, limit=-MOST_FRAMES))
    except Exception as error:  # noqa: BLE001 — as above
        return f"{failure[0].__name__}: {_unshowable(error)}"


def _bounded(value: object) -> object:
    """Bound the texts; the nesting is that of the chain, and deeper than a log field may be."""
    if isinstance(value, dict):
        return {str(key): _bounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_bounded(entry) for entry in value]
    return plain(value)


def _unshowable(error: Exception) -> str:
    return f"<cannot be shown: {type(error).__name__}>"
