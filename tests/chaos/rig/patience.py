"""A deadline that a busy machine does not shorten: it counts the time in which this process could run."""

import asyncio
import time
from dataclasses import dataclass, field

TICK_SECONDS = 0.02


@dataclass
class Patience:
    """Runs out after `limit_seconds`, counted in ticks; `seconds` is what a clock on the wall has shown.

    Each tick is one sleep. Where the machine is so busy that a sleep takes three times as long, everything
    that is waited for does, too, and the deadline moves with it.
    """

    limit_seconds: float
    _ticks: int = 0
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether the time has run out."""
        return self._ticks * TICK_SECONDS >= self.limit_seconds

    async def wait(self, seconds: float = TICK_SECONDS) -> None:
        """Wait for about so long."""
        for _ in range(max(1, round(seconds / TICK_SECONDS))):
            await asyncio.sleep(TICK_SECONDS)
            self._ticks += 1
