"""How the worker is, as its event loop last said: written there, read by the threads that answer probes."""

import time
from enum import StrEnum

from sherpa.telemetry.health import Report, State

STUCK_SECONDS = 10.0
"""An event loop that has not said anything for so long does no work."""


class Phase(StrEnum):
    """Starting: PostgreSQL is not open yet. Draining: told to stop, finishing what runs."""

    STARTING = "starting"
    WORKING = "working"
    DRAINING = "draining"


class Vitals:
    """The last signs of life. Each attribute is replaced as a whole, so no thread sees half of one."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.report = Report(State.UNAVAILABLE)
        self._beaten_at = time.monotonic()

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._beaten_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether the event loop was not heard of for too long."""
        return time.monotonic() - self._beaten_at > STUCK_SECONDS
