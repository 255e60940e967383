"""Which sites' scripts may call the API: Starlette's CORS layer, its refusals as problems."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from sherpa.api import problems

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = ("authorization", "content-type", "idempotency-key", "x-request-id")
RESPONSE_HEADERS = ("x-request-id", "retry-after")
PREFLIGHT_SECONDS = 600


class Cors(CORSMiddleware):
    """Answer pre-flights and mark responses; the envelope asks it only for requests that name an origin."""

    def __init__(self, app: ASGIApp, *, allow_origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=allow_origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Refuse as every other error is told."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        detail = bytes(response.body).decode()
        refusal = problems.respond(HTTPException(response.status_code, detail), None)
        refusal.headers["vary"] = "Origin"
        return refusal
