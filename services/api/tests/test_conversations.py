"""Conversations that go wrong, told message by message: clients that leave or stall, answers that are cut."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message


async def read(request: Request) -> Response:
    """Answer with the size of the body."""
    return PlainTextResponse(str(len(await request.body())))


READ = Route("/read", read, methods=["POST"])


async def drive(app: Any, scope: dict[str, object], *messages: Message) -> list[Message]:
    """Call an application as a server does, with these messages to receive; return what it sent."""
    sent: list[Message] = []
    waiting = list(messages)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    http = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/read",
        "query_string": b"",
        "headers": [(b"host", b"test")],
        "client": ("127.0.0.1", 5),
    }
    await app({**http, **scope}, receive, send)
    return sent


async def test_body_that_breaks_off_is_the_clients_fault(make_app: Any, lines: Any) -> None:
    """Whether the client has left or its chunks are malformed is not known: 400, and no error in the log."""
    part = {"type": "http.request", "body": b"par", "more_body": True}

    start, _ = await drive(make_app([READ]), {}, part, {"type": "http.disconnect"})

    assert 400 == start["status"]
    assert [400] == [line["status"] for line in lines.of("sherpa.api.access")]
    assert [] == lines.of("sherpa.api.envelope")


async def test_client_that_leaves_is_told_apart(make_app: Any, lines: Any) -> None:
    """Whoever goes away before the answer is 499 in the access log, and gets none."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        await request.is_disconnected()
        raise ConnectionError

    sent = await drive(
        make_app([Route("/left", endpoint)]),
        {"path": "/left", "method": "GET"},
        {"type": "http.request"},
        {"type": "http.disconnect"},
    )

    assert [] == sent
    assert [499] == [line["status"] for line in lines.of("sherpa.api.access")]
    assert ["info"] == [line["level"] for line in lines.of("sherpa.api.envelope")]


async def test_waiting_for_the_client_to_leave_is_not_reading(make_app: Any) -> None:
    """A stream listens for its client's leaving all the time: the body's time is not for that."""
    reading = []

    async def endpoint(request: Request) -> Response:
        reading.append(request.scope["sherpa.exchange"].reading)
        await request.receive()
        reading.append(request.scope["sherpa.exchange"].reading)
        await request.receive()
        listening = asyncio.ensure_future(request.receive())
        await asyncio.sleep(0)
        reading.append(request.scope["sherpa.exchange"].reading)
        listening.cancel()
        return PlainTextResponse("ok")

    part = {"type": "http.request", "body": b"part", "more_body": True}
    await drive(
        make_app([Route("/stream", endpoint, methods=["POST"])]),
        {"path": "/stream"},
        part,
        {"type": "http.request"},
    )

    assert [False, True, False] == reading


async def test_body_that_stalls_is_ended(make_app: Any) -> None:
    """A body that does not come is told so after its time, which is shorter than the request's."""
    app = make_app([READ], request_timeout_seconds=0.05)

    sent = await drive(app, {}, {"type": "http.request", "body": b"par", "more_body": True})

    assert 408 == sent[0]["status"]


async def test_request_without_host_is_refused(make_app: Any) -> None:
    """HTTP/1.1 demands a Host header."""
    sent = await drive(make_app([READ]), {"headers": []})

    assert 400 == sent[0]["status"]


async def test_error_after_the_answer_began_cuts_it(make_app: Any, lines: Any) -> None:
    """A part is never passed off as the whole: the body's end is not sent, the exception is logged."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"part"
        raise LookupError("in the middle")

    async def endpoint(_: Request) -> Response:
        return StreamingResponse(failing())

    app = make_app([Route("/", endpoint)])

    sent = await drive(app, {"method": "GET", "path": "/"}, {"type": "http.request"})

    bodies = [message for message in sent if message["type"] == "http.response.body"]
    assert [True] == [message["more_body"] for message in bodies]
    assert ["a request failed"] == [line["event"] for line in lines.of("sherpa.api.envelope")]
