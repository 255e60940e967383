"""A test that takes too long ends wherever it hangs, and its fixtures clean up.

pytest-timeout's alarm rings once, and raises where Python happens to be. In an event loop that may be any
task, or a callback: it is swallowed, and the test hangs on. And after a failure nothing watches the teardown.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    import asyncio

REPEAT_SECONDS = 2.0


class Limit(Protocol):
    """What pytest-timeout hands over with each timer: seconds, and `signal` or `thread`."""

    timeout: float
    method: str


LIMIT = pytest.StashKey[Limit]()
FAILURE = pytest.StashKey[BaseException | None]()


@contextmanager
def limited(item: pytest.Item) -> Iterator[None]:
    """Give setup, test and teardown the whole time each; fail with the alarm, whatever was made of it."""
    limit = item.stash.get(LIMIT, None)
    if limit is None:  # no pytest-timeout, or it limits nothing
        yield
        return
    item.stash[FAILURE] = None
    item.ihook.pytest_timeout_cancel_timer(item=item)
    item.ihook.pytest_timeout_set_timer(item=item, settings=limit)
    try:
        yield
    except BaseException as error:
        failure = item.stash[FAILURE]
        if failure is None or failure is error:
            raise
        raise failure.with_traceback(None) from error
    finally:
        # It must not ring in pytest itself, which writes the report next.
        item.ihook.pytest_timeout_cancel_timer(item=item)
    if failure := item.stash[FAILURE]:
        raise failure.with_traceback(None)


def insist(item: pytest.Item, limit: Limit) -> None:
    """Let the alarm that has just been set ring until it is heard, and cancel the test's coroutine first."""
    item.stash[LIMIT] = limit
    if limit.method != "signal" or threading.current_thread() is not threading.main_thread():
        return
    fail: Any = signal.getsignal(signal.SIGALRM)

    def ring(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, REPEAT_SECONDS)
        try:
            fail(number, frame)  # does nothing under a debugger
        except pytest.fail.Exception as failure:
            task = None if item.stash.get(FAILURE, None) else _task(item)
            item.stash[FAILURE] = failure
            if task is None:
                raise
            task.get_loop().call_soon_threadsafe(task.cancel, str(failure))

    signal.signal(signal.SIGALRM, ring)


def _task(item: pytest.Item) -> "asyncio.Task[object] | None":
    """Return the task of the test's own coroutine, if that is what runs."""
    import asyncio  # noqa: PLC0415 - 30 ms that most runs needn't pay

    try:
        running = asyncio.all_tasks()
    except RuntimeError:  # no event loop runs
        return None
    name = getattr(item, "originalname", item.name)
    return next((task for task in running if getattr(task.get_coro(), "__name__", "") == name), None)
