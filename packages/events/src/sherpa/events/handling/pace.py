"""How long a loop rests when something is away, and the one line that is logged when that changes."""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

_FIRST_SECONDS: Final = 0.1
# Half a restart's time: what returns is used within this, and is not stormed by all who waited for it.
_MOST_SECONDS: Final = 2.0


class Pace:
    """The rests of one loop. `facts` are on each of its lines."""

    def __init__(self, facts: Mapping[str, object]) -> None:
        self._facts = facts
        self._rests = 0
        self._trouble: str | None = None

    def well(self) -> None:
        """Note that all is as it should be."""
        if self._trouble is not None:
            log.info("handling goes on", after=self._trouble, **self._facts)
        self._rests, self._trouble = 0, None

    def seconds(
        self, trouble: str, reason: BaseException | None, *, is_expected: bool, level: int = logging.WARNING
    ) -> float:
        """Return how long to rest: longer each time, with jitter. Says what is wrong where it is new.

        What is not to be expected is said with its traceback.
        """
        if trouble != self._trouble:
            shown = {"reason": str(reason) or repr(reason)} if is_expected else {"exc_info": reason}
            log.log(level, "handling rests", trouble=trouble, **shown, **self._facts)
        self._trouble = trouble
        longest = min(_FIRST_SECONDS * 2**self._rests, _MOST_SECONDS)
        self._rests = min(self._rests + 1, 10)
        return random.SystemRandom().uniform(longest / 2, longest)


async def first_of(*happenings: Coroutine[Any, Any, object], seconds: float) -> None:
    """Return after the first of them, or after so many seconds; what they raise, the next step sees."""
    tasks = [asyncio.create_task(happening) for happening in happenings]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
