"""Logging, set up once per process: JSON or console lines, a level per logger, ours and foreign ones alike.

Levels live in the standard library's tree of loggers for both. Our lines go straight to bytes, without the
detour through stdlib handlers that costs three times as much (docs/decisions/0070).
"""

import logging
from collections.abc import Mapping
from typing import TextIO

from sherpa.config import LoggingSettings
from sherpa.telemetry.foreign import ForeignHandler
from sherpa.telemetry.pipeline import pipeline
from sherpa.telemetry.rendering import render_console, render_json

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_NAMES = {level: logging.getLevelName(level).lower() for level in _LEVELS}


class Logger:
    """Log events: short constant sentences, their facts as fields: `log.info("it opened", seconds=0.2)`."""

    __slots__ = ("_is_enabled", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_enabled = logging.getLogger(name).isEnabledFor

    def is_enabled_for(self, level: int) -> bool:
        """Tell whether a line at `level` (a number of `logging`) would be written."""
        return self._is_enabled(level)

    def log(self, level: int, event: str, **fields: object) -> None:
        """Write one line at a level known only at run time."""
        self._write(level, event, fields)

    def debug(self, event: str, **fields: object) -> None:
        """Tell what helps a developer."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Tell what an operator wants to know when all is well."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Tell what works for now but should be looked at."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Tell what failed; `exc_info=error` adds the exception."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Tell what failed, with the exception being handled."""
        self._write(logging.ERROR, event, {"exc_info": True, **fields})

    def critical(self, event: str, **fields: object) -> None:
        """Tell why the process cannot go on."""
        self._write(logging.CRITICAL, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._is_enabled(level):
            pipeline.emit(_NAMES.get(level) or f"level {level}", self.name, event, fields)


def get_logger(name: str) -> Logger:
    """Return the logger of a module, `get_logger(__name__)`: at import time, too, before `configure`."""
    return Logger(name)


_handler = ForeignHandler()
_directed: set[str] = set()


def configure(settings: LoggingSettings, *, service: str, stream: TextIO | None = None) -> None:
    """Set logging up for this process; calling it again replaces the set-up.

    Lines go to standard output, or to `stream`: a command whose output is data gives `sys.stderr`.
    """
    pipeline.sink.stream = stream
    if settings.format == "json":
        pipeline.service, pipeline.render = service, render_json
    else:  # whoever reads a console knows which service it is
        pipeline.service, pipeline.render = None, render_console(colours=pipeline.sink.is_terminal())
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    logging.captureWarnings(capture=True)
    _direct(settings.level.default, settings.level.loggers)


def _direct(default: int, loggers: Mapping[str, int]) -> None:
    """Give each logger its level, and take back the levels of the set-up before."""
    logging.getLogger().setLevel(default)
    for name in _directed.difference(loggers):
        logging.getLogger(name).setLevel(logging.NOTSET)
    _directed.clear()
    _directed.update(loggers)
    for name, level in loggers.items():
        logging.getLogger(name).setLevel(level)
