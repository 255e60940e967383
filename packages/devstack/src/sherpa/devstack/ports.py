"""TCP ports on 127.0.0.1: whether one is free, which one is next, and who holds it."""

import socket
from collections.abc import Container

import psutil

LOOPBACK = "127.0.0.1"
SEARCHED = 200


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
    """A port that the system says is free."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in avoid:
            return port


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
