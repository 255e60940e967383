"""A server on loopback that answers as Resend's documentation says, and the senders that share a contract."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from sherpa.config import EmailSettings
from sherpa.config.secret import Secret
from sherpa.membership.emails.email import Email, EmailSender
from sherpa.membership.emails.folder import FolderSender
from sherpa.membership.emails.memory import MemorySender
from sherpa.membership.emails.resend import ResendSender

KEY = "re_a-secret-of-ours"
SETTINGS = EmailSettings(api_key=Secret(KEY), from_address="hello@example.com", from_name="Choice, Sherpa")

type Answer = tuple[int, dict[str, str], bytes]


def letter(**parts: Any) -> Email:
    """Make an e-mail, with these parts otherwise."""
    usual: dict[str, Any] = {
        "key": uuid4(),
        "to": "a@example.com",
        "subject": "Hi",
        "text": "Hi.\n",
        "html": "<p>Hi.</p>\n",
    }
    return Email(**usual | parts)


@dataclass
class Resend:
    """What the server has accepted, all requests that it saw, and an answer that goes before all others."""

    url: str = ""
    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    answer: Answer | None = None
    silent: bool = False
    released: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def reply(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request as documented."""
        with self.lock:
            self.requests.append(headers | {"path": path})
            if self.answer:
                return self.answer
            if headers.get("authorization") != f"Bearer {KEY}":
                return refuse(403, "invalid_api_key", "API key is invalid")
            letter, key = json.loads(body), headers["idempotency-key"]
            if missing := {"from", "to", "subject"} - letter.keys():
                return refuse(422, "missing_required_field", f"Missing {missing}")
            if self.accepted.setdefault(key, letter) != letter:
                return refuse(409, "invalid_idempotent_request", "Same key, different payload")
            return 200, {}, json.dumps({"id": key}).encode()


def refuse(status: int, name: str, message: str, **headers: str) -> Answer:
    """Make an answer in Resend's form of errors."""
    return status, headers, json.dumps({"statusCode": status, "name": name, "message": message}).encode()


def _handler(resend: Resend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if resend.silent:
                resend.released.wait()
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, content = resend.reply(self.path, headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **more}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    return Handler


@pytest.fixture
def resend() -> Iterator[Resend]:
    """Return a running server."""
    state = Resend()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        state.released.set()
        server.shutdown()
        thread.join()


@dataclass
class Post:
    """A sender, and what has arrived through it."""

    sender: EmailSender
    arrived: Callable[[], Awaitable[list[Email]]]


def read_file(path: Path) -> Email:
    """Read an e-mail as a mail program does."""
    message = message_from_bytes(path.read_bytes(), policy=default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text
    assert html
    return Email(
        key=UUID(path.stem),
        to=message["To"],
        subject=message["Subject"],
        text=text.get_content(),
        html=html.get_content(),
    )


def read_folder(folder: Path) -> list[Email]:
    """Read every e-mail in a folder."""
    return [read_file(path) for path in folder.iterdir()]


@pytest.fixture(params=["memory", "folder", "resend"])
async def post(request: pytest.FixtureRequest, tmp_path: Path, resend: Resend) -> AsyncIterator[Post]:
    """Return each of the senders."""
    if request.param == "memory":
        memory = MemorySender()

        async def arrived() -> list[Email]:
            return list(memory.sent.values())

        yield Post(memory, arrived)
    elif request.param == "folder":
        folder = tmp_path / "a folder" / "outgoing"

        async def arrived() -> list[Email]:
            return read_folder(folder)

        yield Post(FolderSender(folder), arrived)
    else:

        async def arrived() -> list[Email]:
            return [
                Email(key=UUID(key), to=each["to"][0], **{n: each[n] for n in ("subject", "text", "html")})
                for key, each in resend.accepted.items()
            ]

        async with ResendSender(SETTINGS, url=resend.url) as sender:
            yield Post(sender, arrived)
