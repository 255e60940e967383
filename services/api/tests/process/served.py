"""A program for the tests of the served process: the product's application, with slow routes added."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from sherpa.api.app import create_app
from sherpa.api.resources import Resources
from sherpa.api.server import serve
from sherpa.api.settings import ApiSettings
from sherpa.config import load
from sherpa.telemetry.logging import configure, get_logger

log = get_logger("served")


@asynccontextmanager
async def alone(app: Starlette) -> AsyncIterator[None]:
    """Start without PostgreSQL and Redis, for tests of what lies before them."""
    app.state.lifecycle.serve()
    yield
    log.info("lifespan ended")


async def sleep(request: Request) -> Response:
    """Answer after so many seconds, and log both ends."""
    log.info("sleeping")
    try:
        await asyncio.sleep(float(request.path_params["seconds"]))
    finally:
        log.info("slept")
    return PlainTextResponse("slept")


async def read(request: Request) -> Response:
    """Answer with the size of the body."""
    return PlainTextResponse(str(len(await request.body())))


async def stream(_: Request) -> Response:
    """Answer piece by piece, for ever."""

    async def pieces() -> AsyncIterator[bytes]:
        log.info("streaming")
        try:
            while True:
                yield b"x" * 1_000
                await asyncio.sleep(0.02)
        finally:
            log.info("stream freed")

    return StreamingResponse(pieces())


async def hold(request: Request) -> Response:
    """Hold every connection of the pool until `/release` is asked."""
    resources: Resources = request.app.state.resources
    request.app.state.released = released = asyncio.Event()

    async def hold_one() -> None:
        async with resources.database.connection():
            await released.wait()

    await asyncio.gather(*(hold_one() for _ in range(resources.database.pool_stats().max)))
    return PlainTextResponse("held")


async def release(request: Request) -> Response:
    """Let go what `/hold` holds."""
    request.app.state.released.set()
    return PlainTextResponse("released")


async def stubborn(_: Request) -> Response:
    """Refuse to be ended."""
    log.info("refusing to end")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.info("refused to end")


async def stop_listening(_: Request) -> Response:
    """End the server below the application, as a fault of its own would."""
    (listener,) = (task for task in asyncio.all_tasks() if task.get_name() == "listener")
    listener.cancel()
    return PlainTextResponse("ended")


def create(settings: ApiSettings) -> Starlette:
    """Build the application and add the routes above; with SERVED_ALONE set, nothing is opened."""
    app = create_app(settings)
    if os.environ.get("SERVED_ALONE"):
        app.router.lifespan_context = alone
    app.router.routes.extend(
        [
            Route("/sleep/{seconds}", sleep, methods=["GET", "POST"]),
            Route("/read", read, methods=["POST"]),
            Route("/stream", stream),
            Route("/hold", hold),
            Route("/release", release),
            Route("/stubborn", stubborn),
            Route("/stop-listening", stop_listening),
        ]
    )
    return app


if __name__ == "__main__":
    settings = load(ApiSettings)
    configure(settings.logging, service="sherpa-api")
    sys.exit(serve(create, settings))
