"""What a process says of its health: one question to each dependency, and what the answers add up to."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

import msgspec

from sherpa.telemetry.logging import get_logger

UP = "up"
DOWN = "down"

_log = get_logger(__name__)


class State(StrEnum):
    """Degraded: what is essential works. Unavailable: the process can't do its work now."""

    READY = "ready"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class Finding(msgspec.Struct, omit_defaults=True, frozen=True):
    """What a check found: `up`, `down` or the check's own word for something in between."""

    status: str
    latency_ms: float
    pending: int | None = None
    missing: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What a probe is told. `checks` names components, never hosts."""

    status: State
    checks: Mapping[str, Finding] = {}

    @property
    def statuses(self) -> dict[str, str]:
        """The findings in a word each, for the log."""
        return {name: finding.status for name, finding in self.checks.items()}


class Answer(msgspec.Struct, frozen=True):
    """What a dependency said: the finding without its latency."""

    status: str
    pending: int | None = None
    missing: tuple[str, ...] = ()


class Check:
    """Ask `question` in at most `seconds`. Whoever asks while an answer is awaited shares it.

    A question that does not end when its time is up is cancelled and left to clean up by itself; until it
    has, the dependency counts as down and is not asked again.
    """

    def __init__(self, name: str, question: Callable[[], Awaitable[Answer]], seconds: float) -> None:
        self.name = name
        self._question = question
        self._seconds = seconds
        self._asking: asyncio.Task[Answer] | None = None

    async def run(self) -> Finding:
        """Return the finding; it never raises, for whatever goes wrong means that the dependency is down."""
        began = time.perf_counter()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"check {self.name}")
        asking = self._asking
        done, _ = await asyncio.wait({asking}, timeout=self._seconds)
        if not done:
            asking.cancel()
        answer = asking.result() if done and not asking.cancelled() else Answer(DOWN)
        return Finding(
            answer.status, round((time.perf_counter() - began) * 1000, 1), answer.pending, answer.missing
        )

    async def close(self) -> None:
        """End a question that is still open."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> Answer:
        try:
            return await self._question()
        except Exception as error:  # noqa: BLE001 — any failure is the answer "down"
            _log.debug("a check failed", check=self.name, reason=str(error), error=type(error).__name__)
            return Answer(DOWN)
