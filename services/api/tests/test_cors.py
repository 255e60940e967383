"""Which sites' scripts may call: those of the settings, and errors are readable for them, too."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

OURS = "https://app.example"
PREFLIGHT = {"origin": OURS, "access-control-request-method": "POST"}
NEEDED = ("authorization", "content-type", "idempotency-key", "x-request-id")


async def fail(_: Request) -> Response:
    """Raise."""
    raise LookupError


async def say_ok(_: Request) -> Response:
    """Answer."""
    return PlainTextResponse("ok")


ROUTES = (Route("/ok", say_ok), Route("/fail", fail))


@pytest.mark.parametrize(("path", "status"), [("/ok", 200), ("/fail", 500), ("/nowhere", 404)])
async def test_our_site_may_read(make_app: Any, connect: Any, path: str, status: int) -> None:
    """Answers, errors among them, name the site that may read them, and let it see the request id."""
    async with connect(make_app(ROUTES, cors_origins=(OURS,))) as client:
        response = await client.get(path, headers={"origin": OURS})

    assert (status, OURS) == (response.status_code, response.headers["access-control-allow-origin"])
    assert "x-request-id" in response.headers["access-control-expose-headers"].lower()
    assert response.headers["x-request-id"]


async def test_other_site_may_not_read(make_app: Any, connect: Any) -> None:
    """A foreign site's script gets no leave."""
    async with connect(make_app(ROUTES, cors_origins=(OURS,))) as client:
        response = await client.get("/ok", headers={"origin": "https://evil.example"})

    assert "access-control-allow-origin" not in response.headers


async def test_preflight_of_our_site(make_app: Any, connect: Any) -> None:
    """A pre-flight with the headers that our front ends send is granted without reaching a route."""
    async with connect(make_app(ROUTES, cors_origins=(OURS,))) as client:
        response = await client.options(
            "/fail", headers={**PREFLIGHT, "access-control-request-headers": ", ".join(NEEDED)}
        )

    assert (200, OURS) == (response.status_code, response.headers["access-control-allow-origin"])


@pytest.mark.parametrize(
    "headers",
    [
        {**PREFLIGHT, "origin": "https://evil.example"},
        {**PREFLIGHT, "access-control-request-method": "TRACE"},
        {**PREFLIGHT, "access-control-request-headers": "x-odd"},
    ],
    ids=["origin", "method", "header"],
)
async def test_refused_preflight_is_a_problem(make_app: Any, connect: Any, headers: dict[str, str]) -> None:
    """Every error has the same shape, this one too."""
    async with connect(make_app(ROUTES, cors_origins=(OURS,))) as client:
        response = await client.options("/ok", headers=headers)

    assert (400, "application/problem+json") == (response.status_code, response.headers["content-type"])
    assert response.json()["detail"].startswith("Disallowed CORS")


async def test_nothing_without_settings(make_app: Any, connect: Any) -> None:
    """Without CORS_ORIGINS no site may call, and a pre-flight is a method like any other."""
    async with connect(make_app(ROUTES)) as client:
        plain = await client.get("/ok", headers={"origin": OURS})
        preflight = await client.options("/ok", headers=PREFLIGHT)

    assert "access-control-allow-origin" not in plain.headers
    assert 405 == preflight.status_code
