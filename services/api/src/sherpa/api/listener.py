"""The HTTP server below the application: granian in our own process and event loop, on a socket of ours.

Granian itself binds with SO_REUSEPORT, by which a second process would share the port without a word.
"""

import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import Any, cast

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from sherpa.api.errors import PortTakenError, StartupError

HEADER_BYTES = 16_384
HEADER_SECONDS = 10.0
"""How long a client may take to send a request's headers; also how long a kept connection may be idle."""

UNREAD_SECONDS = 30
"""How long a client may take nothing of what it was sent; granian itself would wait for ever."""

BACKLOG = 1_024
MOST_CONNECTIONS = 8_192
DESCRIPTORS_KEPT = 128  # for PostgreSQL, Redis, files and what the libraries open

# Set up as it likes, granian would replace the handlers of its loggers; this changes nothing.
_GRANIAN_LOG = {
    "version": 1,
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {},
}


def bind(host: str, port: int) -> socket.socket:
    """Take the port for this process alone: raises StartupError when another has it, or when we may not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from error
    listener.settimeout(0)
    return listener


def address_of(bound: socket.socket) -> str:
    """Return where a socket listens, as it stands in a URL."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener(Server):
    """Granian's embedded server on a socket that is bound already. It owns the socket from now on."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        host, port = bound.getsockname()[:2]
        super().__init__(
            app,
            host,
            port,
            interface=Interfaces.ASGINL,  # we run the lifespan, so as to tell its failures
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=make_room_for_connections(),
            http1_settings=HTTP1Settings(
                header_read_timeout=int(HEADER_SECONDS * 1000), max_buffer_size=HEADER_BYTES
            ),
            log_dictconfig=_GRANIAN_LOG,
        )
        self._bound = bound
        # Its INFO lines repeat ours, and a warning calls embedding experimental (docs/decisions/0071):
        # they are for those who ask for them by name, `granian=debug`.
        logging.getLogger("_granian").setLevel(logging.getLogger("granian").level or logging.ERROR)

    def _init_shared_socket(self) -> None:
        # The constructor is missing in granian's type stub: (descriptor, is a Unix socket, backlog).
        hold = cast("Callable[[int, bool, int], Any]", SocketHolder)
        is_unix = False
        self._ssp, self._shd = None, hold(self._bound.detach(), is_unix, BACKLOG)


def make_room_for_connections() -> int:
    """Raise our limit on open files as far as needed and allowed; return how many connections there may be.

    Granian's bound on connections counts idle ones, too: a low one lets silent clients keep others out.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + DESCRIPTORS_KEPT
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with contextlib.suppress(ValueError, OSError):  # the system may have a bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # Half of them where there are few: a server that runs out of files is busy with failing to accept.
    return min(MOST_CONNECTIONS, max(soft - DESCRIPTORS_KEPT, soft // 2))


def _explained(error: OSError, host: str, port: int) -> StartupError:
    match error.errno:
        case errno.EADDRINUSE:
            return PortTakenError(
                f"Port {port} on {host} is taken by another process."
                f" Stop it (find it with `ss -ltnp 'sport = :{port}'`), or set PORT to a free one."
            )
        case errno.EACCES:
            what = f"Port {port} needs rights that this user has not. Set PORT to one above 1023."
        case errno.EADDRNOTAVAIL:
            what = (
                f"HOST is {host}, which is no address of this machine. Set it to one, or to 0.0.0.0 for all."
            )
        case _:
            what = f"Cannot listen on {host}:{port}: {error.strerror or error}. Correct HOST and PORT."
    return StartupError(what)
