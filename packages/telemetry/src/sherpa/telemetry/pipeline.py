"""The one way from an event to the sink, for our lines and for foreign ones; it never raises."""

from collections.abc import Mapping
from datetime import UTC, datetime

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
        self, level: str, logger: str, fields: Mapping[str, object], created: datetime | None = None
    ) -> None:
        """Write one event, now or as of `created`; what is wrong with it is written instead of raised."""
        moment = created or datetime.now(UTC)
        event: Event = {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "level": level,
            "event": None,
            "logger": logger,
            "service": self.service,
            **context.current(),
            **fields,
        }
        try:
            line = self.render(event)
        except Exception as error:  # noqa: BLE001 — the last line of defence of "logging never raises"
            line = f"a line of {logger!r} could not be rendered: {type(error).__name__}\n".encode()
        self.sink.write(line)


pipeline = Pipeline()
