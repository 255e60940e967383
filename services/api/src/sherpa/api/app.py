"""The application: its routes, its one layer around them, and the resources that it opens and closes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from sherpa.api import health, problems
from sherpa.api.envelope import Envelope
from sherpa.api.exchange import Limits
from sherpa.api.headers import standing_headers
from sherpa.api.inflight import InFlight
from sherpa.api.lifecycle import Lifecycle
from sherpa.api.readiness import Readiness
from sherpa.api.resources import open_resources
from sherpa.api.settings import ApiSettings
from sherpa.config import ServerSettings

# 1 MiB, the most we take, arrives in ten seconds over 1 Mbit/s.
BODY_SECONDS = 10.0


def create_app(settings: ApiSettings) -> Starlette:
    """Build the application. Its lifespan opens what it needs, or raises StartupError saying why it can't.

    `app.state` holds `lifecycle` and `in_flight` from the start, `resources` and `readiness` while it serves.
    """
    lifecycle, in_flight = Lifecycle(), InFlight()
    envelope = Middleware(
        Envelope,
        lifecycle=lifecycle,
        in_flight=in_flight,
        limits=limits_of(settings.server),
        headers=standing_headers(settings.server.environment),
        cors_origins=settings.server.cors_origins,
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            readiness = Readiness(resources, settings)
            app.state.resources, app.state.readiness = resources, readiness
            lifecycle.serve()
            try:
                yield
            finally:
                await readiness.close()

    app = Starlette(
        routes=list(health.ROUTES),
        middleware=[envelope],
        exception_handlers={
            HTTPException: problems.answer_http_exception,
            Exception: problems.answer_http_exception,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would be built from the caller's Host header
    app.state.lifecycle, app.state.in_flight = lifecycle, in_flight
    return app


def limits_of(settings: ServerSettings) -> Limits:
    """Return the limits on one request that the settings mean."""
    timeout = settings.request_timeout_seconds
    return Limits(request_timeout_seconds=timeout, body_timeout_seconds=min(BODY_SECONDS, timeout))
