"""The shortest talk with a PostgreSQL: enough to know that its postmaster lives, without a login."""

import socket
import struct

# "Do you speak TLS?", to which every postmaster says yes or no. The manual's "SSLRequest" message.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ANSWERS = (b"S", b"N")
_SECONDS = 1.0


def answers(port: int) -> bool:
    """Whether a PostgreSQL answers on this port of 127.0.0.1. It leaves no trace in the server's log."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.sendall(_SSL_REQUEST)
            return connection.recv(1) in _ANSWERS
    except OSError:
        return False
