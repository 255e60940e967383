"""The few words of Redis' protocol that a probe needs: importing a client library takes 0.1 s."""

import contextlib
import socket
import ssl
from types import TracebackType
from typing import BinaryIO, Self

type Reply = bytes | int | list[Reply] | None


class RedisReplyError(Exception):
    """The server answered with an error, such as `NOAUTH`."""


class RedisConnection:
    """One connection, one command at a time. Raises OSError where nobody answers, and RedisReplyError."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        timeout: float = 2.0,
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        try:
            if tls:
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=host)
            self._reader: BinaryIO = self._socket.makefile("rb")
            if password is not None:
                self.ask("AUTH", *([username] if username else []), password)
        except BaseException:
            self.close()
            raise

    def ask(self, *words: str | bytes) -> Reply:
        """Send one command and return its reply."""
        encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)]
        self._socket.sendall(b"".join(parts))
        return self._read()

    def _read(self) -> Reply:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RedisReplyError(rest.decode(errors="replace"))
            case b":":
                return int(rest)
            case b"$":
                return self._read_bulk(int(rest))
            case b"*":
                return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise ConnectionAbortedError("the server doesn't speak Redis' protocol")

    def _read_bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        return self._reader.read(length + 2)[:-2]

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(AttributeError):
            self._reader.close()
        self._socket.close()

    def __enter__(self) -> Self:
        """Use the connection in a with statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()
