"""The access log: one line for each request, without query strings, which may hold secrets."""

import logging

from starlette.types import Scope

from sherpa.api.exchange import Exchange
from sherpa.telemetry.logging import get_logger

HEALTH = "/health/"
CLIENT_CLOSED_REQUEST = 499  # nginx's number for a client that left before the answer

_log = get_logger("sherpa.api.access")


def write_access_line(scope: Scope, exchange: Exchange, now: float) -> None:
    """Log a request that has ended; probes only at debug level, they come every few seconds."""
    level = logging.DEBUG if scope["path"].startswith(HEALTH) else logging.INFO
    if not _log.is_enabled_for(level):
        return
    client = scope.get("client")
    _log.log(
        level,
        "request",
        method=scope["method"],
        path=getattr(scope.get("route"), "path", None) or scope["path"],
        status=CLIENT_CLOSED_REQUEST if exchange.disconnected else exchange.status,
        duration_ms=round((now - exchange.started_at) * 1000, 3),
        bytes=exchange.sent_bytes,
        client=client[0] if client else None,
    )
