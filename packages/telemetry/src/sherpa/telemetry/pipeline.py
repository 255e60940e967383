"""The one way from an event to the sink, for our lines and for foreign ones; it never raises."""

import time
from collections.abc import Mapping
from functools import lru_cache

from sherpa.telemetry import context
from sherpa.telemetry.rendering import Event, Render, render_console
from sherpa.telemetry.sink import Sink


class Pipeline:
    """What `configure` sets: where lines go, how they look and which service they name.

    Loggers hold the pipeline, not its parts, so that setting it again reaches the loggers that exist.
    """

    def __init__(self) -> None:
        self.sink = Sink()
        self.service: str | None = None
        self.render: Render = render_console(colours=False)

    def emit(
        self,
        level: str,
        logger: str,
        event: object,
        fields: Mapping[str, object],
        created: float | None = None,
    ) -> None:
        """Write one event, now or as of `created`, a Unix time; its faults are written, not raised."""
        line: Event = {
            "timestamp": rfc_3339(created or time.time()),
            "level": level,
            "event": event,
            "logger": logger,
            "service": self.service,
            **context.current(),
            **fields,
        }
        try:
            written = self.render(line)
        except Exception as error:  # noqa: BLE001 — the last line of defence of "logging never raises"
            written = f"a line of {logger!r} could not be rendered: {type(error).__name__}\n".encode()
        if lost := self.sink.write(written):
            self.emit("warning", __name__, "lines were lost: their reader had stopped", {"lines": lost})


def rfc_3339(moment: float) -> str:
    """Return a Unix time in UTC, to the millisecond, cut and not rounded."""
    seconds = int(moment)
    return f"{_to_the_second(seconds)}.{int((moment - seconds) * 1000):03}Z"


@lru_cache(maxsize=2)
def _to_the_second(seconds: int) -> str:
    """Format once a second what all its lines share: 2 µs less a line."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


pipeline = Pipeline()
