"""Is the process alive, has it started, can it do its work: asked by probes, balancers and people.

The answers name components, never hosts or users, nor what an exception said.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sherpa.api.lifecycle import Lifecycle, Phase
from sherpa.api.readiness import Readiness
from sherpa.telemetry.health import State

_NEVER_STORED = {"cache-control": "no-store"}


async def live(_: Request) -> Response:
    """Say that the process answers; touch nothing."""
    return _answer({"status": "alive"})


async def startup(request: Request) -> Response:
    """Say whether the dependencies are open: 503 until then, 200 ever after."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    if lifecycle.starting:
        return _answer({"status": Phase.STARTING}, 503)
    return _answer({"status": "started"})


async def ready(request: Request) -> Response:
    """Say whether requests should be sent here: 200 when ready or degraded, else 503."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    if lifecycle.phase is not Phase.SERVING:
        return _answer({"status": lifecycle.phase}, 503)
    readiness: Readiness = request.app.state.readiness
    report = await readiness.report()
    return _answer(report, 503 if report.status is State.UNAVAILABLE else 200)


ROUTES = (
    Route("/health/live", live),
    Route("/health/ready", ready),
    Route("/health/startup", startup),
)


def _answer(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, _NEVER_STORED, "application/json")
