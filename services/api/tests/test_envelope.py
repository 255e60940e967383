"""What every request gets: an id, limits, headers, an answer whatever happens, and its line in the log."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sherpa.config import Environment
from sherpa.telemetry.logging import get_logger

MADE_ID = re.compile(r"[0-9a-f]{32}")

log = get_logger("sherpa.some")


async def say_ok(_: Request) -> Response:
    """Answer at once."""
    return PlainTextResponse("ok")


async def read(request: Request) -> Response:
    """Answer with the size of the body."""
    return PlainTextResponse(str(len(await request.body())))


async def sleep(_: Request) -> Response:
    """Never answer."""
    await asyncio.sleep(60)
    return PlainTextResponse("late")


ROUTES = (
    Route("/ok", say_ok),
    Route("/items/{item}", say_ok),
    Route("/read", read, methods=["POST"]),
    Route("/sleep", sleep),
)


@pytest.mark.parametrize("given", ["abc", "A-b_c.d~e:f/g+h=i@j", "x" * 128, "7"])
async def test_well_formed_request_id_is_kept(make_app: Any, connect: Any, given: str) -> None:
    """A caller's id comes back as it was."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.get("/ok", headers={"x-request-id": given})

    assert given == response.headers["x-request-id"]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", '"quoted"', "<x>", "é", "-starts", "a;b"])
async def test_malformed_request_id_is_replaced(make_app: Any, connect: Any, given: str) -> None:
    """What could forge a log line or a header is not repeated."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.get("/ok", headers={"x-request-id": given.encode()})

    assert MADE_ID.fullmatch(response.headers["x-request-id"])


async def test_every_line_within_a_request_has_its_id(make_app: Any, connect: Any, lines: Any) -> None:
    """Lines of ours, of foreign loggers and of tasks carry the request's id; later lines don't."""

    async def work() -> None:
        log.info("in a task")

    async def endpoint(_: Request) -> Response:
        log.info("ours")
        logging.getLogger("asyncpg").info("foreign")
        await asyncio.create_task(work())
        return PlainTextResponse("ok")

    async with connect(make_app([Route("/", endpoint)])) as client:
        await client.get("/", headers={"x-request-id": "r1"})
    log.info("after")

    ids = {str(event["event"]): event.get("request_id") for event in lines.events}
    assert {"ours": "r1", "foreign": "r1", "in a task": "r1", "request": "r1", "after": None} == ids


async def test_requests_at_the_same_time_do_not_mix(make_app: Any, connect: Any, lines: Any) -> None:
    """Each request's lines carry its own id, however they interleave."""

    async def endpoint(request: Request) -> Response:
        await asyncio.sleep(0)
        log.info("working", said=request.headers["x-request-id"])
        return PlainTextResponse("ok")

    async with connect(make_app([Route("/", endpoint)])) as client:
        requests = (client.get("/", headers={"x-request-id": f"r{number}"}) for number in range(20))
        await asyncio.gather(*requests)

    mixed = [event for event in lines.of("sherpa.some") if event["said"] != event["request_id"]]
    assert [] == mixed


async def test_access_line(make_app: Any, connect: Any, lines: Any) -> None:
    """A request's line has method, route template, status, duration, size and client, and no query string."""
    async with connect(make_app(ROUTES)) as client:
        await client.get("/items/7?token=hunter2", headers={"x-request-id": "r1"})

    (line,) = lines.of("sherpa.api.access")
    assert line.pop("duration_ms") >= 0
    assert line.pop("timestamp")
    assert {
        "level": "info",
        "event": "request",
        "logger": "sherpa.api.access",
        "service": "sherpa-api",
        "request_id": "r1",
        "method": "GET",
        "path": "/items/{item}",
        "status": 200,
        "bytes": 2,
        "client": "127.0.0.1",
    } == line
    assert "hunter2" not in lines.getvalue()


async def test_unknown_path_is_logged_as_it_is(make_app: Any, connect: Any, lines: Any) -> None:
    """Where no route matches there is no template, and the path is what helps."""
    async with connect(make_app(ROUTES)) as client:
        await client.get("/nowhere/else")

    (line,) = lines.of("sherpa.api.access")
    assert ("/nowhere/else", 404) == (line["path"], line["status"])


async def test_probes_are_logged_at_debug(make_app: Any, connect: Any, lines: Any) -> None:
    """A probe every few seconds would drown the rest."""
    async with connect(make_app()) as client:
        await client.get("/health/live")

    (line,) = lines.of("sherpa.api.access")
    assert "debug" == line["level"]


async def test_unknown_path_is_a_problem(make_app: Any, connect: Any) -> None:
    """404 is told as every error is."""
    async with connect(make_app()) as client:
        response = await client.get("/nowhere", headers={"x-request-id": "r1"})

    assert (404, "application/problem+json") == (response.status_code, response.headers["content-type"])
    assert {"title": "Not Found", "status": 404, "request_id": "r1"} == response.json()


async def test_trailing_slash_is_not_redirected(make_app: Any, connect: Any) -> None:
    """A redirect would be built from the Host header, which is the caller's."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.get("/ok/", headers={"host": "evil.example"})

    assert (404, None) == (response.status_code, response.headers.get("location"))


async def test_wrong_method_names_the_right_ones(make_app: Any, connect: Any) -> None:
    """405 is a problem with its `Allow` header."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.put("/ok")

    assert (405, "application/problem+json") == (response.status_code, response.headers["content-type"])
    assert {"GET", "HEAD"} == set(response.headers["allow"].split(", "))


async def test_unknown_error_tells_nothing_but_the_request_id(
    make_app: Any, connect: Any, lines: Any
) -> None:
    """A 500 has the id as its only clue; the exception is in the log, under that id."""

    async def endpoint(_: Request) -> Response:
        raise LookupError("row 7 of table secrets")

    async with connect(make_app([Route("/", endpoint)])) as client:
        response = await client.get("/", headers={"x-request-id": "r1"})

    assert {"title": "Internal Server Error", "status": 500, "request_id": "r1"} == response.json()
    assert "application/problem+json" == response.headers["content-type"]
    (line,) = lines.of("sherpa.api.envelope")
    assert ("r1", "error", "LookupError") == (
        line["request_id"],
        line["level"],
        line["exception"][0]["exc_type"],
    )


async def test_error_in_a_layer_is_a_problem(make_app: Any, connect: Any) -> None:
    """A layer between the envelope and the routes may fail, too."""

    class Failing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise LookupError("in a layer")

    app = make_app(ROUTES)
    app.user_middleware.append(Middleware(Failing))
    async with connect(app) as client:
        response = await client.get("/ok")

    assert (500, "Internal Server Error") == (response.status_code, response.json()["title"])


async def test_answer_that_never_comes_is_an_error(make_app: Any, connect: Any) -> None:
    """An endpoint that returns without answering is a fault of ours, and told as one."""

    class Silent:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            return

    async with connect(make_app([Route("/", Silent())])) as client:
        response = await client.get("/")

    assert (500, "application/problem+json") == (response.status_code, response.headers["content-type"])


async def test_slow_request_is_ended(make_app: Any, connect: Any, lines: Any) -> None:
    """A request past its time is cancelled and told so."""
    async with connect(make_app(ROUTES, request_timeout_seconds=0.05)) as client:
        response = await client.get("/sleep")

    assert (504, "urn:choice-sherpa:problem:request-timed-out") == (
        response.status_code,
        response.json()["type"],
    )
    assert [504] == [line["status"] for line in lines.of("sherpa.api.access")]


async def test_end_of_a_request_reaches_its_code(make_app: Any, connect: Any) -> None:
    """What a cancelled request holds is given back."""
    freed = asyncio.Event()

    async def endpoint(_: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            freed.set()
        return PlainTextResponse("late")

    async with connect(make_app([Route("/", endpoint)], request_timeout_seconds=0.05)) as client:
        await client.get("/")

    assert freed.is_set()


async def test_error_while_being_ended_is_still_a_timeout(make_app: Any, connect: Any) -> None:
    """Code that answers its cancellation with an error of its own does not change what is told."""

    async def endpoint(_: Request) -> Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LookupError("in the clean-up") from None
        return PlainTextResponse("late")

    async with connect(make_app([Route("/", endpoint)], request_timeout_seconds=0.05)) as client:
        response = await client.get("/")

    assert 504 == response.status_code


async def test_cancellation_from_outside_goes_on(make_app: Any, connect: Any) -> None:
    """Only a cancellation of our own is turned into an answer."""
    async with connect(make_app(ROUTES)) as client:
        asking = asyncio.create_task(client.get("/sleep"))
        await asyncio.sleep(0.01)
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking


async def slowly(pieces: int) -> AsyncIterator[bytes]:
    """Send a byte now and then."""
    for _ in range(pieces):
        await asyncio.sleep(0.05)
        yield b"x"


async def test_body_said_to_be_too_large_is_refused(make_app: Any, connect: Any) -> None:
    """Content-Length alone is enough: nothing is read."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.post("/read", content=b"x" * (1024 * 1024 + 1))

    assert (413, "urn:choice-sherpa:problem:body-too-large", "close") == (
        response.status_code,
        response.json()["type"],
        response.headers["connection"],
    )


async def test_largest_body_is_taken(make_app: Any, connect: Any) -> None:
    """The limit itself is within the limit."""
    async with connect(make_app(ROUTES)) as client:
        response = await client.post("/read", content=b"x" * (1024 * 1024))

    assert (200, "1048576") == (response.status_code, response.text)


async def test_body_without_length_is_measured(make_app: Any, connect: Any) -> None:
    """A chunked body is ended where it passes the limit."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with connect(make_app(ROUTES)) as client:
        response = await client.post("/read", content=endless())

    assert (413, "urn:choice-sherpa:problem:body-too-large") == (
        response.status_code,
        response.json()["type"],
    )


async def test_standing_headers(make_app: Any, connect: Any) -> None:
    """Every response, errors too, is not to be stored, sniffed or framed, and names no software."""
    async with connect(make_app(ROUTES)) as client:
        responses = [await client.get("/ok"), await client.get("/nowhere")]

    for response in responses:
        assert "no-store" == response.headers["cache-control"]
        assert "nosniff" == response.headers["x-content-type-options"]
        assert "default-src 'none'; frame-ancestors 'none'" == response.headers["content-security-policy"]
        assert "no-referrer" == response.headers["referrer-policy"]
        assert "sherpa" == response.headers["server"]
        assert "strict-transport-security" not in response.headers


async def test_production_insists_on_tls(make_app: Any, connect: Any) -> None:
    """Only where TLS is sure are browsers told to insist on it."""
    async with connect(make_app(ROUTES, environment=Environment.PRODUCTION)) as client:
        response = await client.get("/ok")

    assert response.headers["strict-transport-security"].startswith("max-age=")


async def test_header_of_an_endpoint_wins(make_app: Any, connect: Any) -> None:
    """An endpoint that knows better is not overruled, and nothing is there twice."""

    async def endpoint(_: Request) -> Response:
        return PlainTextResponse("ok", headers={"Cache-Control": "max-age=60"})

    async with connect(make_app([Route("/", endpoint)])) as client:
        response = await client.get("/")

    assert ["max-age=60"] == response.headers.get_list("cache-control")


async def test_nothing_is_served_before_the_start_is_over(make_app: Any, connect: Any) -> None:
    """A request that comes too early is told to come again; whether the process lives can be asked."""
    async with connect(make_app(ROUTES, serving=False)) as client:
        early, alive = await client.get("/ok"), await client.get("/health/live")

    assert (503, "1", 200) == (early.status_code, early.headers["retry-after"], alive.status_code)


async def test_draining_process_serves_and_says_goodbye(make_app: Any, connect: Any) -> None:
    """While the process drains, requests are served, and kept connections are sent elsewhere."""
    app = make_app(ROUTES)
    app.state.lifecycle.drain()

    async with connect(app) as client:
        response = await client.get("/ok")

    assert (200, "close") == (response.status_code, response.headers["connection"])


async def test_nothing_is_left_in_flight(make_app: Any, connect: Any) -> None:
    """Requests are under watch while they run, whatever their end."""
    app = make_app(ROUTES, request_timeout_seconds=0.05)

    async with connect(app) as client:
        await asyncio.gather(client.get("/ok"), client.get("/nowhere"), client.get("/sleep"))

    assert 0 == len(app.state.in_flight)


async def test_other_scopes_pass(make_app: Any) -> None:
    """A lifespan is the router's business: the envelope hands it on as it is."""
    seen: list[Scope] = []

    class Layer:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)

    app = make_app()
    app.user_middleware.append(Middleware(Layer))

    await app({"type": "lifespan", "state": {}}, None, None)

    assert ["lifespan"] == [scope["type"] for scope in seen]
