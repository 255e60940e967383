"""What the envelope costs a request: in-process µs against raw ASGI and bare Starlette, measured in one run.

    uv run python benchmarks/envelope.py [--requests 20000] [--rounds 7]

Each contender answers the same request, with the headers a browser sends, driven directly without a server;
rounds alternate between them, and the best round of each counts.
"""

import argparse
import os
import time
from collections.abc import Awaitable, Callable, Mapping

import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint  # noqa: TID251 — the rival
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sherpa.api.app import create_app
from sherpa.api.settings import ApiSettings
from sherpa.config import (
    DatabaseSettings,
    FeatureSettings,
    LogDirectives,
    LogFormat,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    ServiceUrl,
)
from sherpa.telemetry.logging import configure

BODY = b'{"status":"alive"}'
HEADERS = [
    (b"host", b"api.example"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"application/json"),
    (b"accept-language", b"en-GB,en;q=0.7"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"authorization", b"Bearer 0123456789abcdef"),
    (b"x-forwarded-for", b"192.0.2.7"),
]


async def raw(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer without any framework: the floor."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": BODY})


async def endpoint(_: Request) -> Response:
    """Answer as the others do."""
    return Response(BODY, media_type="application/json")


class Nothing(BaseHTTPMiddleware):
    """The habitual way to write a layer, doing nothing."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Hand on."""
        return await call_next(request)


def enveloped() -> Starlette:
    """Build the product's application with one more route."""
    app = create_app(
        ApiSettings(
            server=ServerSettings(cors_origins=("https://app.example",)),
            database=DatabaseSettings(url=ServiceUrl.parse("postgresql://nobody@127.0.0.1:1/none")),
            redis=RedisSettings(url=ServiceUrl.parse("redis://127.0.0.1:1/0")),
            logging=LoggingSettings(),
            features=FeatureSettings(),
        )
    )
    app.router.routes.insert(0, Route("/bench", endpoint))
    app.state.lifecycle.serve()
    return app


def log_at(level: str) -> None:
    """Log JSON to nowhere, at a level."""
    stream = open(os.devnull, "w")  # noqa: PTH123, SIM115 — open for the whole run
    configure(
        LoggingSettings(level=LogDirectives.parse(level), format=LogFormat.JSON),
        service="bench",
        stream=stream,
    )


async def drive(app: ASGIApp, requests: int) -> float:
    """Return the µs that one request takes."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    def scope() -> Scope:
        return {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/bench",
            "query_string": b"",
            "headers": HEADERS,
            "client": ("127.0.0.1", 5),
            "state": {},
        }

    began = time.perf_counter()
    for _ in range(requests):
        await app(scope(), receive, send)
    return (time.perf_counter() - began) / requests * 1e6


def contenders() -> Mapping[str, tuple[ASGIApp, str]]:
    """Return each application with the log level that it runs at."""
    routes = [Route("/bench", endpoint)]
    habitual = [Middleware(Nothing)]
    return {
        "raw ASGI": (raw, "warning"),
        "Starlette, bare": (Starlette(routes=routes), "warning"),
        "Starlette + our envelope, access log off": (enveloped(), "warning"),
        "Starlette + our envelope, access log on": (enveloped(), "info"),
        "Starlette + 1 empty BaseHTTPMiddleware": (Starlette(routes=routes, middleware=habitual), "warning"),
        "Starlette + 5 empty BaseHTTPMiddleware": (
            Starlette(routes=routes, middleware=habitual * 5),
            "warning",
        ),
    }


async def measure(requests: int, rounds: int) -> Mapping[str, float]:
    """Return the best µs of each contender."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, (app, level) in contenders().items():
            log_at(level)
            await drive(app, requests // 10)
            took = await drive(app, requests)
            best[name] = min(took, best.get(name, took))
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    run: Callable[[Awaitable[Mapping[str, float]]], Mapping[str, float]] = uvloop.run  # type: ignore[assignment] # its stub wants a coroutine
    best = run(measure(options.requests, options.rounds))
    bare = best["Starlette, bare"]
    print(f"{'':44}{'µs':>8}{'+ µs':>8}{'x bare':>8}")
    for name, took in best.items():
        print(f"{name:44}{took:8.1f}{took - bare:+8.1f}{took / bare:8.2f}")


if __name__ == "__main__":
    main()
