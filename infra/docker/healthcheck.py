"""Exit 0 when the API in this container answers the given health path with 200, else 1.

A bare socket instead of curl or an HTTP library: the engine starts this every few seconds.
"""

import os
import socket
import sys


def answers(path: str, port: int) -> bool:
    """Ask for `path` on this container's own loopback; an error of any kind counts as no."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                status = answer.readline().split()
    except OSError:
        return False
    return status[1:2] == [b"200"]


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1], int(os.environ.get("PORT") or 8080)))
