"""Steps that are done again and again, and fail while a server is away: told once, and once it is over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never

import asyncpg

from sherpa.db.errors import DatabaseError
from sherpa.events.errors import BrokerError
from sherpa.telemetry.logging import get_logger
from sherpa.worker.errors import WorkerError

_AWAY = (DatabaseError, BrokerError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

AGAIN_SECONDS = 5.0
"""What fails is tried again after no longer than this, however rarely it is done."""

_log = get_logger(__name__)


class Repetition:
    """One such step; `what` names it in the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing = False

    async def attempt[T](self, step: Callable[[], Awaitable[T]]) -> T | None:
        """Return what the step returns, or None when a server is away."""
        try:
            result = await step()
        except WorkerError:
            raise
        except Exception as error:  # noqa: BLE001 - a worker that gives up must be restarted by hand
            self._tell(error)
            return None
        if self._failing:
            _log.info("works again", what=self._what)
        self._failing = False
        return result

    def _tell(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        reason = str(error) or type(error).__name__
        if isinstance(error, _AWAY):
            _log.warning("failed, trying again", what=self._what, reason=reason)
        else:
            _log.error("failed by a fault of ours, trying again", what=self._what, exc_info=error)

    async def forever(self, step: Callable[[], Awaitable[object]], *, every_seconds: float) -> Never:
        """Do the step every so often, and sooner again where it failed, until cancelled."""
        while True:
            await self.attempt(step)
            await asyncio.sleep(min(every_seconds, AGAIN_SECONDS) if self._failing else every_seconds)

    async def insist[T](self, step: Callable[[], Awaitable[T]], *, every_seconds: float) -> T:
        """Return what the step returns, as soon as it does."""
        while True:
            if (result := await self.attempt(step)) is not None:
                return result
            await asyncio.sleep(every_seconds)
