"""The life of the served process: listen, open, serve, and stop in an order that loses no request.

Listening comes first, so that probes are answered while PostgreSQL is waited for. When told to stop,
readiness says 503 at once and requests are still served for the drain; then the port closes, and what runs
is finished.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from socket import socket
from types import FrameType
from typing import Any

import uvloop
from starlette.applications import Starlette

from sherpa.api.errors import ShuttingDownError, StartupError
from sherpa.api.inflight import InFlight
from sherpa.api.lifecycle import Lifecycle
from sherpa.api.listener import Listener, address_of, bind
from sherpa.api.settings import ApiSettings
from sherpa.config import ServerSettings
from sherpa.telemetry.logging import get_logger

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_WELL = 0
EXIT_FAILED = 1

LEFTOVER_SECONDS = 0.2

_log = get_logger(__name__)


def serve(app_factory: Callable[[ApiSettings], Starlette], settings: ApiSettings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code: 0 told to stop, 1 failed, 3 port taken.

    What went wrong is logged here, in one line: configure logging first.
    """
    loop = uvloop.new_event_loop()
    try:
        with bind(settings.server.host, settings.server.port) as bound:
            return loop.run_until_complete(_run(app_factory, settings, bound))
    except StartupError as error:
        _log.critical(str(error))
        return error.exit_code
    finally:
        # The work is done: being told again must not change the exit code.
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        loop.close()


async def _run(app_factory: Callable[[ApiSettings], Starlette], settings: ApiSettings, bound: socket) -> int:
    try:
        return await Process(app_factory(settings), settings.server, bound).run()
    finally:
        await _cancel_leftovers()


async def _cancel_leftovers() -> None:
    """Cancel what still runs, without waiting, as asyncio.Runner does, for a task that refuses to end."""
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftovers:
        task.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=LEFTOVER_SECONDS)


class Process:
    """One application, its listener and its signals, from the first to the last."""

    def __init__(self, app: Starlette, settings: ServerSettings, bound: socket) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._app = app
        self._settings = settings
        self._lifecycle: Lifecycle = app.state.lifecycle
        self._in_flight: InFlight = app.state.in_flight
        self._address = address_of(bound)
        self._listener = Listener(app, bound)
        self._told_to_stop: asyncio.Future[None] = loop.create_future()
        self._told_twice: asyncio.Future[None] = loop.create_future()

    async def run(self) -> int:
        """Run to the end and return the exit code. Raises StartupError when the lifespan cannot begin."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._hear)
        listening = asyncio.create_task(self._listener.serve(), name="listener")
        _log.info("listening", address=self._address)
        async with AsyncExitStack() as resources:
            try:
                await self._open(resources, listening)
            except Exception:
                await self._hang_up(listening)
                raise
            await _any_of(self._told_to_stop, listening)
            failed = listening.done()
            await self._finish(listening)
            await self._close(resources)
        if failed:
            _log.critical("the listener ended by itself", reason=repr(_failure(listening)))
        _log.info("stopped")
        return EXIT_FAILED if failed else EXIT_WELL

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        # Not by the loop's add_signal_handler: a loop that closes gives signals back their deadly default.
        self._loop.call_soon_threadsafe(self._obey, signum)

    def _obey(self, signum: int) -> None:
        """Begin to stop at the first signal, hurry at the second."""
        _log.info("told to stop", signal=signal.Signals(signum).name, in_flight=len(self._in_flight))
        self._lifecycle.drain()
        told = self._told_twice if self._told_to_stop.done() else self._told_to_stop
        if not told.done():
            told.set_result(None)

    async def _open(self, resources: AsyncExitStack, listening: asyncio.Task[None]) -> None:
        """Begin the lifespan; being told to stop ends the attempt."""
        lifespan = self._app.router.lifespan_context(self._app)
        opening = asyncio.ensure_future(resources.enter_async_context(lifespan))
        await _any_of(opening, self._told_to_stop, listening)
        if opening.cancel():
            await asyncio.wait({opening})
        if not opening.cancelled():
            opening.result()
            _log.info("serving", address=self._address)

    async def _hang_up(self, listening: asyncio.Task[None]) -> None:
        """Let granian's threads end before Python does: one that reports late aborts the process (134)."""
        stop_listening: Callable[[], None] = self._listener.stop
        stop_listening()
        await _any_of(listening, within_seconds=self._settings.shutdown_reserve_seconds)

    async def _finish(self, listening: asyncio.Task[None]) -> None:
        """Serve on for the drain, close the port, finish what runs within the grace, and tell the rest."""
        self._lifecycle.drain()
        await _any_of(self._told_twice, listening, within_seconds=self._settings.drain_seconds)
        stop_listening: Callable[[], None] = self._listener.stop
        stop_listening()
        finishing = asyncio.ensure_future(asyncio.wait({listening, self._in_flight.emptied()}))
        grace, reserve = self._settings.shutdown_grace_seconds, self._settings.shutdown_reserve_seconds
        await _any_of(finishing, self._told_twice, within_seconds=grace - reserve)
        if not finishing.done():
            _log.warning("requests are ended before they were done", in_flight=len(self._in_flight))
            self._in_flight.end_all(ShuttingDownError)
            await _any_of(finishing, within_seconds=reserve / 4)
        finishing.cancel()

    async def _close(self, resources: AsyncExitStack) -> None:
        """End the lifespan, which always happens, and never takes longer than what is left of the grace."""
        try:
            async with asyncio.timeout(self._settings.shutdown_reserve_seconds / 2):
                await resources.aclose()
        except TimeoutError:
            _log.warning("resources did not close in time and are left to the operating system")


async def _any_of(*futures: asyncio.Future[Any], within_seconds: float | None = None) -> None:
    await asyncio.wait(futures, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() or not task.done() else task.exception()
