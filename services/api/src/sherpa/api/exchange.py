"""One request and its answer: what the envelope measures, bounds and adds while the application works."""

import asyncio
import re
from dataclasses import dataclass
from math import inf
from secrets import token_hex
from time import monotonic

from starlette.types import Message, Receive, Scope, Send

from sherpa.api.errors import (
    BodyBrokenOffError,
    BodyTooLargeError,
    MalformedRequestError,
    NoAnswerError,
    RequestError,
)

_WELL_FORMED_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._~:+/=@-]{0,127}")
# Servers take any number of leading zeros; Python refuses to read numbers of thousands of digits.
_MOST_DIGITS = 20
_CLOSE = (b"connection", b"close")

type Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take. The body's time counts from when the application begins to read it."""

    request_timeout_seconds: float
    body_timeout_seconds: float
    body_bytes: int = 1024 * 1024


class Exchange:
    """The state of one request; its `receive` and `send` stand between the application and the server's.

    It does not hold the scope, which holds it: a cycle for each request is work for the garbage collector.
    """

    __slots__ = (
        "_body_is_complete",
        "_headers",
        "_limits",
        "_receive",
        "_send",
        "body_bytes",
        "body_expires_at",
        "closing",
        "disconnected",
        "ended_by",
        "expires_at",
        "finished",
        "request_id",
        "sent_bytes",
        "started_at",
        "status",
        "task",
    )

    def __init__(self, receive: Receive, send: Send, *, limits: Limits, headers: Headers, now: float) -> None:
        self._receive, self._send = receive, send
        self._limits, self._headers = limits, headers
        self.started_at = now
        self.expires_at = now + limits.request_timeout_seconds
        self.body_expires_at = inf
        self._body_is_complete = False
        self.body_bytes = self.sent_bytes = 0
        self.status: int | None = None
        self.finished = self.disconnected = self.closing = False
        self.ended_by: type[RequestError] | None = None
        self.task = asyncio.current_task()
        self.request_id = "-"

    def admit(self, scope: Scope, given: dict[bytes, bytes]) -> None:
        """Refuse by its headers what cannot be served: raises MalformedRequestError or BodyTooLargeError."""
        headers = scope["headers"]
        if not given.get(b"host") and scope["http_version"] == "1.1":
            raise MalformedRequestError
        if len(given) < len(headers) and sum(name == b"host" for name, _ in headers) > 1:
            raise MalformedRequestError
        length = given.get(b"content-length", b"0")
        if len(length) > _MOST_DIGITS or int(length) > self._limits.body_bytes:
            raise BodyTooLargeError

    @property
    def reading(self) -> bool:
        """Whether the application waits for more of the body, and not only for the client's leaving."""
        return self.body_expires_at < inf and not self._body_is_complete

    def require_answer(self) -> None:
        """Raise NoAnswerError when the application is done, and has said nothing to a client that waits."""
        if self.status is None and not self.disconnected:
            raise NoAnswerError

    def end(self, reason: type[RequestError]) -> None:
        """Cancel the work on this request; the envelope answers with `reason`."""
        if self.ended_by is None and self.task is not None:
            self.ended_by = reason
            self.task.cancel()

    async def receive(self) -> Message:
        """Receive for the application, within the limits of size and time.

        Raises BodyTooLargeError, or BodyBrokenOffError where the body ends before its end.
        """
        if self.body_expires_at == inf:
            self.body_expires_at = monotonic() + self._limits.body_timeout_seconds
        message = await self._receive()
        if message["type"] == "http.disconnect":
            if self.reading:
                raise BodyBrokenOffError
            self.disconnected = not self.finished
            return message
        self._body_is_complete = not message.get("more_body", False)
        self.body_bytes += len(message.get("body", b""))
        if self.body_bytes > self._limits.body_bytes:
            raise BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Send for the application, with the headers that every response carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": self._complete(message.get("headers", ()))}
        else:
            self.sent_bytes += len(message.get("body", b""))
            self.finished = not message.get("more_body", False)
        await self._send(message)

    def _complete(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Add the standing headers, but those that the application has set itself."""
        names = dict(given)
        added = [header for header in self._headers if header[0] not in names]
        if self.closing and b"connection" not in names:
            added.append(_CLOSE)
        return [*given, *added, (b"x-request-id", self.request_id.encode())]


def request_id_from(given: dict[bytes, bytes]) -> str:
    """Return the caller's request id when it is well-formed (128 safe characters at most), else a new one."""
    theirs = given.get(b"x-request-id")
    if theirs is not None and _WELL_FORMED_ID.fullmatch(theirs):
        return theirs.decode()
    return token_hex(16)
