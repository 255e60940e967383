"""The lines of libraries that log through the standard library, sent down the same way as ours."""

import logging

from sherpa.telemetry.pipeline import pipeline
from sherpa.telemetry.rendering import Event

# What every stdlib record consists of; anything else in one came with `extra=`.
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class ForeignHandler(logging.Handler):
    """Write the records of stdlib loggers: asyncpg, granian, piccolo, redis, asyncio, warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record with its `extra` fields and its exception."""
        fields: Event = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        if record.stack_info:
            fields["stack"] = record.stack_info
        pipeline.emit(record.levelname.lower(), record.name, _message(record), fields, record.created)


def _message(record: logging.LogRecord) -> object:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 — arguments that don't fit the format, or cannot be shown
        return record.msg
