"""The one way in which tests wait for what another task, process or server does: they ask until it has."""

import asyncio
import inspect
import linecache
from collections.abc import Callable
from types import FrameType

import pytest

LONG_SECONDS = 60.0  # for a busy machine: who waits so long in vain has failed
POLL_SECONDS = 0.02

_TRUE = object()


async def eventually(
    ask: Callable[[], object], wanted: object = _TRUE, *, within_seconds: float = LONG_SECONDS
) -> None:
    """Ask until the answer, awaited if it can be, equals the wanted one, or is true where none is named.

    Fails the test with the line that waits and the last answer. What `ask` raises, it raises.
    """
    line = _line_of(inspect.currentframe())
    __tracebackhide__ = True
    answer: object = None
    limit = asyncio.timeout(within_seconds)
    try:
        async with limit:
            while True:
                answer = await _answer(ask)
                if answer if wanted is _TRUE else answer == wanted:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        if not limit.expired():
            raise
    pytest.fail(f"Waited {within_seconds:g} s in vain: {line}\nThe last answer: {answer!r}")


async def _answer(ask: Callable[[], object]) -> object:
    answer = ask()
    return await answer if inspect.isawaitable(answer) else answer


def _line_of(frame: FrameType | None) -> str:
    """Return the caller's line, which says best what it waits for."""
    caller = frame.f_back if frame else None
    return linecache.getline(caller.f_code.co_filename, caller.f_lineno).strip() if caller else ""
