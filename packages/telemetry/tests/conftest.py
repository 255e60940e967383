"""Log lines as the tests see them: logging is set up for one test and put back after it."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from sherpa.config import LogDirectives, LogFormat, LoggingSettings
from sherpa.telemetry.logging import configure
from sherpa.telemetry.pipeline import pipeline

type Setup = Callable[..., "Lines"]


class Lines(io.StringIO):
    """A stream that remembers what was logged."""

    @property
    def texts(self) -> list[str]:
        """Return the lines without their ends."""
        return self.getvalue().split("\n")[:-1]

    @property
    def events(self) -> list[dict[str, object]]:
        """Return the lines as JSON objects."""
        return [json.loads(text) for text in self.texts]

    @property
    def event(self) -> dict[str, object]:
        """Return the one line there must be."""
        (event,) = self.events
        return event


@pytest.fixture
def set_up() -> Iterator[Setup]:
    """Return a function that configures logging to a stream of ours; levels and handlers are put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    render, service = pipeline.render, pipeline.service

    def set_up(directives: str = "debug", style: str = "json") -> Lines:
        lines = Lines()
        settings = LoggingSettings(level=LogDirectives.parse(directives), format=LogFormat(style))
        configure(settings, service="sherpa-test", stream=lines)
        return lines

    yield set_up
    configure(LoggingSettings(), service="sherpa-test")  # takes back the levels of single loggers
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    pipeline.render, pipeline.service, pipeline.sink.stream = render, service, None


@pytest.fixture
def json_lines(set_up: Setup) -> Lines:
    """Return the lines of a process that logs JSON at debug level."""
    return set_up()


@pytest.fixture
def console_lines(set_up: Setup) -> Lines:
    """Return the lines of a process that logs for eyes at debug level."""
    return set_up(style="console")
