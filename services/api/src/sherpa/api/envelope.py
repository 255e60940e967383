"""The one layer around the application: what every request gets, fused, because a layer each costs more.

Request id, time and size limits, headers, CORS, errors as problems, the access log: the parts are in modules
of their own, here is their order. Pure ASGI; docs/http.md has the cost, and that of the usual alternatives.
"""

import asyncio
from collections.abc import Sequence
from time import monotonic

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from sherpa.api import problems
from sherpa.api.access import HEALTH, write_access_line
from sherpa.api.cors import Cors
from sherpa.api.errors import StillStartingError
from sherpa.api.exchange import Exchange, Headers, Limits, request_id_from
from sherpa.api.inflight import InFlight
from sherpa.api.lifecycle import Lifecycle
from sherpa.telemetry import context
from sherpa.telemetry.logging import get_logger

_log = get_logger(__name__)


class Envelope:
    """Serve HTTP requests through `app`; scopes of other kinds pass untouched."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        lifecycle: Lifecycle,
        in_flight: InFlight,
        limits: Limits,
        headers: Headers,
        cors_origins: Sequence[str],
    ) -> None:
        self._app = app
        self._lifecycle, self._in_flight = lifecycle, in_flight
        self._limits, self._headers = limits, headers
        self._cors = Cors(self._answer, allow_origins=cors_origins) if cors_origins else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request from its first byte of work to its line in the access log."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"])
        exchange = Exchange(receive, send, limits=self._limits, headers=self._headers, now=monotonic())
        exchange.closing = self._lifecycle.draining
        exchange.request_id = scope["sherpa.request_id"] = request_id_from(given)
        scope["sherpa.exchange"], scope["sherpa.headers"] = exchange, given
        fields = context.enter({"request_id": exchange.request_id})
        self._in_flight.add(exchange)
        try:
            serve = self._cors if self._cors is not None and b"origin" in given else self._answer
            await serve(scope, exchange.receive, exchange.send)
        finally:
            self._in_flight.remove(exchange)
            write_access_line(scope, exchange, monotonic())
            context.leave(fields)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; whatever it raises becomes an answer."""
        exchange: Exchange = scope["sherpa.exchange"]
        try:
            exchange.admit(scope, scope["sherpa.headers"])
            self._require_started(scope["path"])
            await self._app(scope, receive, send)
            exchange.require_answer()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 — the last layer
            failure = _cause(exchange, error)
            if failure is not None:
                await _answer_failure(scope, exchange, failure, send)

    def _require_started(self, path: str) -> None:
        if self._lifecycle.starting and not path.startswith(HEALTH):
            raise StillStartingError


def _cause(exchange: Exchange, error: BaseException) -> BaseException | None:
    """Return what to tell the client, None when it has gone; a cancellation that is not ours goes on."""
    if exchange.ended_by is not None:
        if exchange.task is not None:
            exchange.task.uncancel()
        return exchange.ended_by()
    if isinstance(error, asyncio.CancelledError):
        raise error
    if isinstance(error, ClientDisconnect) or exchange.disconnected:
        _log.info("the client left before it was answered")
        return None
    return error


async def _answer_failure(scope: Scope, exchange: Exchange, failure: BaseException, send: Send) -> None:
    response = problems.respond(failure, exchange.request_id)
    _log_failure(failure, response.status_code)
    if exchange.status is None:
        await response(scope, exchange.receive, send)
    # Else the answer has begun: returning without its end makes the server cut the connection,
    # so that the client cannot take the part for the whole.


def _log_failure(failure: BaseException, status: int) -> None:
    """Log what is not the client's doing: the unknown with its traceback, the known with its reason."""
    if problems.is_unknown(failure):
        _log.error("a request failed", exc_info=failure, status=status)
    elif status >= 500:
        _log.warning("a request could not be served", reason=str(failure), error=type(failure).__name__)
