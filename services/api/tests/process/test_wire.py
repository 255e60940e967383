"""What a hostile or broken client can send, byte by byte, and what becomes of it."""

import re
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from sherpa.api.listener import HEADER_SECONDS


def type_of(problem: Any) -> str:
    """Return the last part of a problem's type."""
    return str(problem.json["type"]).rpartition(":")[2]


def test_body_that_trickles_is_ended(hasty: Any) -> None:
    """A byte now and then does not keep a request alive: 408 when the body's time is up."""
    with hasty.wire() as wire:
        wire.request("/read", "POST", "Content-Length: 1000\r\n", b"x")
        wire.socket.settimeout(0.1)
        while not has_answer(wire.socket):
            wire.send(b"x")
        wire.socket.settimeout(30)
        answer = wire.answer()
        rest = wire.rest()

    assert (408, "body-too-slow", "close") == (answer.status, type_of(answer), answer.headers["connection"])
    assert b"" == rest


def has_answer(connection: socket.socket) -> bool:
    """Tell whether there is something to read, waiting a moment."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False


def test_body_shorter_than_said_is_ended(hasty: Any) -> None:
    """A length that is never reached is a body that does not come."""
    answer = hasty.ask("/read", "POST", "Content-Length: 10\r\n", b"short")

    assert (408, "body-too-slow") == (answer.status, type_of(answer))


def test_request_that_takes_too_long_is_ended(hasty: Any) -> None:
    """An endpoint past the request's time is cancelled, and the client told so."""
    answer = hasty.ask("/sleep/60")

    assert (504, "request-timed-out") == (answer.status, type_of(answer))


def test_body_said_to_be_too_large_is_refused(served: Any) -> None:
    """413 comes before the body does."""
    answer = served.ask("/read", "POST", "Content-Length: 1048577\r\n")

    assert (413, "body-too-large", "close") == (
        answer.status,
        type_of(answer),
        answer.headers["connection"],
    )


def test_chunked_body_too_large_is_refused(served: Any) -> None:
    """A body without a length is measured as it comes."""
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"

    answer = served.ask("/read", "POST", "Transfer-Encoding: chunked\r\n", chunk * 33)

    assert (413, "body-too-large") == (answer.status, type_of(answer))


def test_body_longer_than_said_is_cut(served: Any) -> None:
    """What follows the said length is no part of the body, and not taken for a request either."""
    with served.wire() as wire:
        received = wire.request("/read", "POST", "Content-Length: 3\r\n", b"abcdefgh\r\n\r\n").rest()

    assert [b"200", b"400"] == re.findall(rb"HTTP/1.1 (\d+) ", received)


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "0x10", "9" * 40, "1\r\nContent-Length: 2"])
def test_impossible_length_is_refused(served: Any, length: str) -> None:
    """A length that parsers might read in two ways never reaches the application."""
    answer = served.ask("/read", "POST", f"Content-Length: {length}\r\n", b"x")

    assert 400 == answer.status


def test_length_of_many_zeros_is_refused(served: Any) -> None:
    """Digits without end are no number to reckon with, though the server below takes them."""
    answer = served.ask("/read", "POST", f"Content-Length: {'0' * 5_000}1\r\n", b"x")

    assert (413, "body-too-large") == (answer.status, type_of(answer))


@pytest.mark.parametrize(
    "chunks",
    [b"3;a\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n", b"0x3\r\nabc\r\n", b"F" * 17 + b"\r\nabc\r\n"],
    ids=["bare LF in extension", "negative", "0x", "overflow"],
)
def test_malformed_chunks_are_refused(served: Any, chunks: bytes) -> None:
    """Chunks that another parser may read in another way are the client's fault, and end the connection."""
    with served.wire() as wire:
        answer = wire.request("/read", "POST", "Transfer-Encoding: chunked\r\n", chunks).answer()
        rest = wire.rest()

    assert (400, "body-broken-off", b"") == (answer.status, type_of(answer), rest)


def test_two_framings_do_not_smuggle(served: Any) -> None:
    """With a length and chunks at once, the chunks count, and the connection is closed after."""
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
    with served.wire() as wire:
        wire.request("/read", "POST", "Content-Length: 48\r\nTransfer-Encoding: chunked\r\n", smuggled)
        first, rest = wire.answer(), wire.rest()

    assert "close" == first.headers["connection"]
    assert b"" == rest


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: test\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : test\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nX: a\r\n folded\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
    ],
    ids=["nul", "space before colon", "raw byte in path", "folded header", "TLS", "no target"],
)
def test_malformed_request_is_refused(served: Any, raw: bytes) -> None:
    """What is no HTTP is answered 400 by the server itself, and the connection closed."""
    with served.wire() as wire:
        received = wire.send(raw).rest()

    assert received.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "target", ["/%ff%fe", "/%00", "/%0d%0aSet-Cookie:x", "/" + "%e2%80%ae" * 9, "//evil.example/"]
)
def test_odd_path_is_just_not_found(served: Any, target: str) -> None:
    """Bytes that are no text, control characters and the like are paths that do not exist."""
    answer = served.ask(target)

    assert (404, "Not Found") == (answer.status, answer.json["title"])
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("headers", [b"", b"Host: a\r\nHost: b\r\n"], ids=["none", "two"])
def test_host_is_given_once(served: Any, headers: bytes) -> None:
    """HTTP/1.1 demands one Host header; the refusal is a problem."""
    with served.wire() as wire:
        answer = wire.send(b"GET /health/live HTTP/1.1\r\n" + headers + b"\r\n").answer()

    assert (400, "malformed-request") == (answer.status, type_of(answer))


@pytest.mark.parametrize(
    "headers", ["X: " + "x" * 20_000 + "\r\n", "X: y\r\n" * 150], ids=["one large header", "many headers"]
)
def test_huge_headers_are_refused(served: Any, headers: str) -> None:
    """16 KiB of headers, a hundred of them, are all that is read."""
    with served.wire() as wire:
        received = wire.request("/health/live", headers=headers).rest()

    assert received.startswith(b"HTTP/1.1 431 ")


def test_large_headers_within_the_limit_are_taken(served: Any) -> None:
    """A few large cookies and tokens are ordinary."""
    answer = served.ask("/health/live", headers="Authorization: Bearer " + "x" * 12_000 + "\r\n")

    assert 200 == answer.status


def test_unknown_method_is_refused_with_the_right_ones(served: Any) -> None:
    """405 over the wire, as a problem, with `Allow`."""
    answer = served.ask("/health/live", "BREW")

    assert (405, "application/problem+json") == (answer.status, answer.headers["content-type"])
    assert {"GET", "HEAD"} == set(answer.headers["allow"].split(", "))


def test_head_has_no_body(served: Any) -> None:
    """HEAD gives the headers of GET, and not a byte more."""
    with served.wire() as wire:
        head = wire.request("/health/live", "HEAD").answer("HEAD")
        get = wire.request("/health/live").answer()

    assert (200, b"") == (head.status, head.body)
    assert head.headers["content-length"] == get.headers["content-length"]


def test_connection_is_kept(served: Any) -> None:
    """Requests one after the other, errors among them, share a connection."""
    with served.wire() as wire:
        statuses = [wire.request(target).answer().status for target in ("/sleep/0", "/nowhere", "/sleep/0")]

    assert [200, 404, 200] == statuses


def test_pipelined_requests_are_answered_in_order(served: Any) -> None:
    """Requests sent without waiting get their answers in turn."""
    with served.wire() as wire:
        for number in range(5):
            wire.request("/nowhere", headers=f"X-Request-ID: r{number}\r\nConnection: keep-alive\r\n")
        wire.request("/nowhere", headers="X-Request-ID: r5\r\nConnection: close\r\n")
        received = wire.rest().decode()

    positions = [received.index(f"x-request-id: r{number}") for number in range(6)]
    assert sorted(positions) == positions


def test_client_that_leaves_frees_a_stream(served: Any) -> None:
    """An endless answer ends when its reader has gone."""
    with served.wire() as wire:
        wire.request("/stream")
        wire.socket.recv(5_000)

    served.wait_until_logged("stream freed")
    assert 200 == served.ask("/health/live").status


def test_client_that_leaves_in_its_body_is_logged(served: Any) -> None:
    """A half-sent body is no error of ours: the access log has 400."""
    with served.wire() as wire:
        wire.request("/read", "POST", "Content-Length: 9\r\nX-Request-ID: left-early\r\n", b"part")
        time.sleep(0.1)

    served.wait_until(lambda: bool(access_lines(served, "left-early")), "the access line")
    assert [400] == [line["status"] for line in access_lines(served, "left-early")]


def access_lines(served: Any, request_id: str) -> list[dict[str, object]]:
    """Return the access lines of one request."""
    return [
        event for event in served.events
        if event["logger"] == "sherpa.api.access" and event["request_id"] == request_id
    ]  # fmt: skip


def test_silent_connections_do_not_starve_others(served: Any) -> None:
    """Hundreds of connections that say nothing leave room for one that does."""
    with ExitStack() as silent:
        for _ in range(400):
            silent.enter_context(served.wire())

        answer = served.ask("/health/live")

    assert 200 == answer.status


def test_idle_and_slow_connections_are_closed(served: Any) -> None:
    """Silence, headers that never end and a kept connection without a request: each has its time."""
    with served.wire() as silent, served.wire() as slow, served.wire() as kept:
        slow.send(b"GET / HTTP/1.1\r\nHost: te")
        kept.request("/sleep/0").answer()
        for wire in (silent, slow, kept):
            wire.socket.settimeout(HEADER_SECONDS + 10)

        ends = [silent.rest(), slow.rest(), kept.rest()]

    assert [b"", b"", b""] == ends


def test_request_id_goes_round(served: Any) -> None:
    """A caller's id is in the answer and in the problem's body."""
    answer = served.ask("/nowhere", headers="X-Request-ID: from-the-caller\r\n")

    assert ("from-the-caller", "from-the-caller") == (
        answer.headers["x-request-id"],
        answer.json["request_id"],
    )
