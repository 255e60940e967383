"""What the relay tells in the log: one line for each change, however often a step comes to the same."""

import logging
from typing import Final

from sherpa.events.relay.outcome import Outcome
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

_PUBLISHING: Final = (logging.INFO, "the relay publishes")
_LINES: Final = {
    Outcome.STANDBY: (logging.INFO, "the relay stands by: another process leads"),
    Outcome.OTHER_LAYOUT: (
        logging.WARNING,
        "the relay waits: relays with another EVENTS_PARTITIONS are at work; end them, or give all the same",
    ),
    Outcome.UNDRAINED: (
        logging.WARNING,
        "the relay waits: handlers must finish what was divided by another EVENTS_PARTITIONS",
    ),
    Outcome.LEADING: _PUBLISHING,
    Outcome.MOVED: _PUBLISHING,
    Outcome.CAUGHT_UP: _PUBLISHING,
    Outcome.IDLE: _PUBLISHING,
    Outcome.PAUSED: (
        logging.WARNING,
        "the relay pauses: the stream or the broker's memory is full; events wait in the outbox",
    ),
    Outcome.FENCED: (
        logging.WARNING,
        "the relay takes its role again: another took it, or the broker has lost it",
    ),
    Outcome.BROKER_AWAY: (logging.WARNING, "the relay can't reach the broker; events wait in the outbox"),
    Outcome.DATABASE_AWAY: (
        logging.WARNING,
        "the relay can't work with PostgreSQL; events wait in the outbox",
    ),
}


class Reporter:
    """The log of one partition's relay."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._told: tuple[int, str] | None = None

    def tell(self, outcome: Outcome, error: Exception | None = None) -> None:
        """Write a line if this is another state than the last one."""
        line = _LINES[outcome]
        if line == self._told:
            return
        self._told = line
        level, text = line
        reason = None if error is None else f"{type(error).__name__}: {error}"
        log.log(level, text, partition=self._partition, partitions=self._partitions, reason=reason)
