"""An event becomes one line: JSON for machines, columns for people."""

from collections.abc import Callable
from typing import TextIO

import msgspec
import structlog

from sherpa.telemetry.failures import ExceptionInfo, describe, exception_of, trace
from sherpa.telemetry.redaction import make_plain, plain_field, printable, redact, without_surrogates

type Event = dict[str, object]
type Render = Callable[[Event], bytes]

_encode = msgspec.json.Encoder().encode


def render_json(event: Event) -> bytes:
    """Render one JSON object and a newline; an exception is described under `exception`."""
    failure = exception_of(event.pop("exc_info", None))
    make_plain(event)
    if failure is not None:
        event["exception"] = describe(failure)
    try:
        line = _encode(event)
    except UnicodeEncodeError:
        line = _encode(without_surrogates(event))
    return redact(line) + b"\n"


def render_console(*, colours: bool) -> Render:
    """Return a renderer of aligned lines; an exception follows indented, so that no text can forge a line."""
    render = structlog.dev.ConsoleRenderer(
        colors=colours, sort_keys=False, pad_event_to=40, exception_formatter=_write_traceback
    )

    def render_line(event: Event) -> bytes:
        failure = exception_of(event.pop("exc_info", None))
        shown = {
            str(printable(name)): printable(plain_field(name, value))
            for name, value in event.items()
            if value is not None
        }
        if failure is not None:
            shown["exc_info"] = failure
        text = render(None, "", shown)
        return redact(text.encode("utf-8", "backslashreplace")) + b"\n"

    return render_line


def _write_traceback(stream: TextIO, failure: ExceptionInfo) -> None:
    stream.write("\n" + "\n".join(f"    {printable(line)}" for line in trace(failure).splitlines()))
