"""The life of the worker: listen, open, work, and stop in an order that keeps nobody waiting.

Listening comes first, so that probes are answered while PostgreSQL is waited for. When told to stop, the
seats are given to others at once, what runs is finished or rolled back, and then everything is closed.
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from types import FrameType

import uvloop

from sherpa.telemetry.logging import get_logger
from sherpa.worker.listener import Listener
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.vitals import Phase, Vitals
from sherpa.worker.wiring import Plan
from sherpa.worker.work import Work

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_WELL, EXIT_FAILED = 0, 1
RESERVE_SHARE = 0.2
"""Of the grace, what is kept for rolling back, closing and leaving."""
BEAT_SECONDS = 0.5
LEFTOVER_SECONDS = 0.2

_log = get_logger(__name__)


def run(settings: ProcessSettings, plan: Plan, resources: AsyncExitStack) -> int:
    """Work until SIGTERM or SIGINT, and close the resources; return the exit code.

    Raises StartupError when it cannot begin.
    """
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(_run(settings, plan, resources))
    finally:
        # The work is done: being told again must not change the exit code.
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        loop.close()


async def _run(settings: ProcessSettings, plan: Plan, resources: AsyncExitStack) -> int:
    try:
        return await Process(settings, plan, resources).run()
    finally:
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        if leftovers:
            await asyncio.wait(leftovers, timeout=LEFTOVER_SECONDS)


class Process:
    """One worker, its listener and its signals, from the first to the last."""

    def __init__(self, settings: ProcessSettings, plan: Plan, resources: AsyncExitStack) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._settings = settings
        self._resources = resources
        self._vitals = Vitals()
        self._work = Work(settings, plan, self._vitals)
        self._told_to_stop: asyncio.Future[None] = loop.create_future()
        self._told_twice: asyncio.Future[None] = loop.create_future()

    async def run(self) -> int:
        """Run to the end and return the exit code. Raises StartupError."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._hear)
        worker = self._settings.worker
        listener = Listener(worker.host, worker.port, self._work.answers)
        beating = asyncio.create_task(self._beat(), name="beat")
        with listener.serving():
            _log.info("listening", address=listener.address)
            async with self._resources as resources:
                working = asyncio.create_task(self._work.run(resources), name="work")
                await asyncio.wait({working, self._told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
                await self._finish(working)
                await self._close(resources)
        beating.cancel()
        _log.info("stopped")
        if working.done() and not working.cancelled():
            working.result()
        return EXIT_WELL

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        # Not by the loop's add_signal_handler: a loop that closes gives signals back their deadly default.
        self._loop.call_soon_threadsafe(self._obey, signum)

    def _obey(self, signum: int) -> None:
        """Begin to stop at the first signal, hurry at the second."""
        _log.info("told to stop", signal=signal.Signals(signum).name)
        self._vitals.phase = Phase.DRAINING
        told = self._told_twice if self._told_to_stop.done() else self._told_to_stop
        if not told.done():
            told.set_result(None)

    async def _beat(self) -> None:
        while True:
            self._vitals.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _finish(self, working: asyncio.Task[None]) -> None:
        """Give the seats up and finish what runs within the grace; end the rest, which rolls back."""
        self._vitals.phase = Phase.DRAINING
        grace = self._settings.worker.grace_seconds
        patience_ends = self._loop.time() + grace * (1 - RESERVE_SHARE)
        working.cancel()
        # A duty under way is rolled back: where PostgreSQL hangs, that alone could outlast the grace.
        await asyncio.wait({working}, timeout=grace * RESERVE_SHARE / 2)
        patience = patience_ends - self._loop.time()
        if not await self._work.dismiss(within_seconds=patience, hurry=self._told_twice):
            _log.warning("what was not finished is rolled back, and done by another worker")
            await self._work.gone(within_seconds=grace * RESERVE_SHARE / 2)

    async def _close(self, resources: AsyncExitStack) -> None:
        """Close everything, in no more time than what is left of the grace."""
        try:
            async with asyncio.timeout(self._settings.worker.grace_seconds * RESERVE_SHARE / 2):
                await resources.aclose()
        except TimeoutError:
            _log.warning("resources did not close in time and are left to the operating system")
