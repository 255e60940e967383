"""Every error as RFC 9457 `application/problem+json`, and the one table from exceptions to statuses.

The client reads a status, a sentence that gives nothing away, and the request id: the key to the log, which
alone has the exception.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sherpa.api import errors
from sherpa.db import errors as database

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:choice-sherpa:problem:"


class Problem(msgspec.Struct, omit_defaults=True):
    """The body. `type` is `about:blank`, and left out, where the status says it all."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    request_id: str | None = None


class Kind(NamedTuple):
    """How an exception is answered; `retry_after` is in seconds, `closes` ends the connection, too."""

    status: HTTPStatus
    slug: str
    detail: str
    retry_after: int | None = None
    closes: bool = False


_BAD_REQUEST = HTTPStatus.BAD_REQUEST
_UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE

_DATABASE_AWAY = Kind(
    _UNAVAILABLE, "database-unavailable", "The service cannot reach its database.", retry_after=5
)
_INTERRUPTED = Kind(
    _UNAVAILABLE, "transaction-interrupted", "Nothing was changed. Send the request again.", retry_after=1
)

KINDS: Mapping[type[Exception], Kind] = {
    errors.MalformedRequestError: Kind(
        _BAD_REQUEST, "malformed-request", "HTTP/1.1 needs exactly one Host header.", closes=True
    ),
    errors.BodyTooLargeError: Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        "The body is larger than accepted.",
        closes=True,
    ),
    errors.BodyBrokenOffError: Kind(
        _BAD_REQUEST, "body-broken-off", "The body ended before its end, or is malformed.", closes=True
    ),
    errors.BodyTooSlowError: Kind(
        HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "The body did not arrive in time.", closes=True
    ),
    errors.RequestTimedOutError: Kind(
        HTTPStatus.GATEWAY_TIMEOUT,
        "request-timed-out",
        "The request took too long and was ended.",
        closes=True,
    ),
    errors.StillStartingError: Kind(
        _UNAVAILABLE, "still-starting", "The service is starting.", retry_after=1
    ),
    errors.ShuttingDownError: Kind(
        _UNAVAILABLE,
        "shutting-down",
        "The service stopped before it could answer.",
        retry_after=1,
        closes=True,
    ),
    database.DatabaseUnavailableError: _DATABASE_AWAY,
    database.DatabaseRefusedError: _DATABASE_AWAY,
    database.PoolTimeoutError: Kind(
        _UNAVAILABLE, "overloaded", "The service has more to do than it can at the moment.", retry_after=5
    ),
    database.ConnectionLostError: _INTERRUPTED,
    database.TransactionConflictError: _INTERRUPTED,
    database.SchemaChangedError: _INTERRUPTED,
}


def kind_of(error: BaseException) -> Kind | None:
    """Return how to answer an exception whose class, or one above it, is in the table; None for others."""
    for cls in type(error).__mro__:
        if cls in KINDS:
            return KINDS[cls]
    return None


def is_unknown(error: BaseException) -> bool:
    """Tell whether an exception is none that anyone foresaw."""
    return kind_of(error) is None and not isinstance(error, HTTPException)


def respond(error: BaseException, request_id: str | None) -> Response:
    """Return the response to any exception; one that is not known becomes a 500 that tells nothing."""
    if isinstance(error, HTTPException):
        return _respond_http(error, request_id)
    kind = kind_of(error)
    if kind is None:
        return _response(Problem("Internal Server Error", 500, request_id=request_id))
    headers = {"connection": "close"} if kind.closes else {}
    if kind.retry_after is not None:
        headers["retry-after"] = str(kind.retry_after)
    problem = Problem(kind.status.phrase, int(kind.status), TYPE_PREFIX + kind.slug, kind.detail, request_id)
    return _response(problem, headers)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer, inside Starlette, what it or an endpoint raised on purpose: 404, 405 with `Allow`, others."""
    return respond(error, request.scope.get("sherpa.request_id"))


def _respond_http(error: HTTPException, request_id: str | None) -> Response:
    title = _phrase(error.status_code)
    detail = error.detail if error.detail != title else None
    return _response(Problem(title, error.status_code, detail=detail, request_id=request_id), error.headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)
