"""The HTTP side of the worker: probes and metrics, in threads of their own, so that a stuck loop is told.

No client can hang it: each has so many seconds in all, and there are so many at a time.
"""

import contextlib
import errno
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from sherpa.telemetry.logging import get_logger
from sherpa.worker.answers import Answer, Answers
from sherpa.worker.errors import PortTakenError, StartupError

CLIENT_SECONDS = 5.0
MOST_CLIENTS = 32
_LOOK_SECONDS = 0.2

_log = get_logger(__name__)


class _Exchange(BaseHTTPRequestHandler):
    """One request and its answer; then the connection is closed."""

    server: "Listener"
    server_version = "sherpa-worker"
    sys_version = ""
    # Between two bytes of a client; for the whole of it there is CLIENT_SECONDS.
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        self._send(self.server.answers.answer(self.path, self.headers.get("Accept", "")))

    def do_HEAD(self) -> None:
        answer = self.server.answers.answer(self.path, self.headers.get("Accept", ""))
        self._send_head(answer)

    def _send(self, answer: Answer) -> None:
        self._send_head(answer)
        self.wfile.write(answer.body)

    def _send_head(self, answer: Answer) -> None:
        self.send_response(HTTPStatus(answer.status))
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a probe every second is no event."""


class Listener(ThreadingMixIn, TCPServer):
    """Listens on WORKER_HOST and WORKER_PORT from its making on; raises StartupError when it can't."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answers = answers
        self._began: dict[Any, float] = {}
        self._watch = threading.Lock()
        try:
            super().__init__((host, port), _Exchange)
        except OSError as error:
            raise _explained(error, host, port) from error

    @property
    def address(self) -> str:
        """Where it listens, as it stands in a URL."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve during the block; then the port is free."""
        thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK_SECONDS,), name="probes", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002 - the base's
        """Let so many clients in; another one is hung up on, and a probe asks again."""
        with self._watch:
            if len(self._began) >= MOST_CLIENTS:
                return False
            self._began[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - a socket
        """Forget a client, and close its connection."""
        with self._watch:
            self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut those off whose time is up; called every 0.2 s."""
        latest = time.monotonic() - CLIENT_SECONDS
        with self._watch:
            late = [client for client, began in self._began.items() if began < latest]
        for client in late:
            with contextlib.suppress(OSError):  # it has just left by itself
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - the base's
        """Tell faults of ours; of a client that left in the middle or was cut off there is nothing to say."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            _log.error("a probe was not answered", exc_info=error)


def _explained(error: OSError, host: str, port: int) -> StartupError:
    match error.errno:
        case errno.EADDRINUSE:
            return PortTakenError(
                f"Port {port} on {host} is taken by another process."
                f" Stop it (find it with `ss -ltnp 'sport = :{port}'`), or set WORKER_PORT to a free one."
            )
        case errno.EACCES:
            what = f"Port {port} needs rights that this user has not. Set WORKER_PORT to one above 1023."
        case errno.EADDRNOTAVAIL:
            what = (
                f"WORKER_HOST is {host}, which is no address of this machine."
                " Set it to one, or to 0.0.0.0 for all."
            )
        case _:
            reason = error.strerror or error
            what = f"Cannot listen on {host}:{port}: {reason}. Correct WORKER_HOST and WORKER_PORT."
    return StartupError(what)
