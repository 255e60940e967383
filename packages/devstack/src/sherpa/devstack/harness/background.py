"""An event loop in a thread of its own: it outlives the tests' loops, and serves sync tests as well."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class Background:
    """Runs coroutines in its thread until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._put_off: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test harness", daemon=True)
        self._thread.start()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end while the caller's thread waits; return the result or raise what it raised."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def put_off(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside what comes next. Nobody waits for it before `close`. Call it within the loop."""
        task = self._loop.create_task(work)
        self._put_off.add(task)
        task.add_done_callback(self._put_off.discard)

    def close(self) -> None:
        """Finish what was put off, cancel what an interrupt left half done, and end the thread."""
        try:
            self.run(self._finish())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _finish(self) -> None:
        await asyncio.gather(*self._put_off)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
