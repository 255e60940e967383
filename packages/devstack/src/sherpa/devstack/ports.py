"""TCP ports on 127.0.0.1: whether one is free, which one is next, and who holds it."""

import secrets
import socket
from collections.abc import Container

import psutil

from sherpa.devstack.errors import StackError

LOOPBACK = "127.0.0.1"
SEARCHED = 200
# Below those that systems give to outgoing connections, which come and go: Linux from 32768, others 49152.
QUIET = range(20_000, 32_768)
TRIES = 1_000


def is_free(port: int) -> bool:
    """Whether a server could listen here now. A port whose last connections still linger counts as free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def next_free(wanted: int, *, avoid: Container[int] = ()) -> int:
    """The wanted port, or the next free one above it, or any free one; never one of those to avoid."""
    for port in range(wanted, min(wanted + SEARCHED, 65536)):
        if port not in avoid and is_free(port):
            return port
    return any_free(avoid=avoid)


def any_free(*, avoid: Container[int] = ()) -> int:
    """A free port that nobody else is likely to take before it is used: raises StackError if there is none.

    The system's own choice (port 0) would be an outgoing connection's a moment later. Chosen by chance, and
    not by a seed that processes may share, it is not another one's choice either.
    """
    for _ in range(TRIES):
        port = secrets.choice(QUIET)
        if port not in avoid and is_free(port):
            return port
    raise StackError(
        f"No port from {QUIET.start} to {QUIET.stop - 1} of {LOOPBACK} seems to be free.",
        remedy="See who has them: ss -ltn",
    )


def holder(port: int) -> str:
    """Who listens on this port, for a person to read: pid and command, or what is known about it."""
    pids = _listeners(port)
    if not pids:
        return "a process of another user or a container"
    try:
        command = " ".join(psutil.Process(pids[0]).cmdline())
    except psutil.Error:
        command = ""
    return f"pid {pids[0]} ({_shorten(command)})" if command else f"pid {pids[0]}"


def _listeners(port: int) -> list[int]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        # macOS lists all sockets to root only.
        return []
    return [
        each.pid
        for each in connections
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid
    ]


def _shorten(command: str, *, width: int = 80) -> str:
    return command if len(command) <= width else f"{command[: width - 1]}…"
