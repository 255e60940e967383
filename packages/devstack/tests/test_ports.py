"""Ports are told free from taken as a server would find them, and their holder is named."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sherpa.devstack import ports
from sherpa.devstack.errors import StackError


@contextmanager
def listener(port: int, host: str = "127.0.0.1") -> Iterator[None]:
    """Somebody who listens."""
    with socket.create_server((host, port)):
        yield


def test_listener_takes_the_port(port: int) -> None:
    """A port is taken while somebody listens, and free before and after."""
    before = ports.is_free(port)
    with listener(port):
        during = ports.is_free(port)

    assert (before, during, ports.is_free(port)) == (True, False, True)


def test_listener_on_all_addresses_counts(port: int) -> None:
    """A listener on 0.0.0.0 takes the port on 127.0.0.1 as well."""
    with listener(port, "0.0.0.0"):
        assert not ports.is_free(port)


def test_lingering_connection_does_not_count(port: int) -> None:
    """A port whose last connection the server closed (TIME_WAIT) is free for a server."""
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = server.accept()
        served.close()
        client.close()

    assert ports.is_free(port)


def test_next_free_skips_what_is_taken(port: int) -> None:
    """The next free port is above the taken one, and none of those to avoid."""
    with listener(port):
        found = ports.next_free(port, avoid={port + 1})

    assert found > port + 1
    assert ports.is_free(found)


def test_highest_port_has_a_successor() -> None:
    """Where there is no port above, any free one serves."""
    with listener(65535):
        assert ports.is_free(ports.next_free(65535))


def test_free_port_is_none_of_outgoing_connections() -> None:
    """What any_free() finds the system gives to nobody who only connects; and it is another one each time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(50)]
        outgoing = {client.getsockname()[1] for client in clients}
        for client in clients:
            client.close()
    if min(outgoing) in ports.QUIET:
        pytest.skip("this system is set to give any port to connections")
    found = {ports.any_free() for _ in range(10)}

    assert len(found) > 1
    assert max(found) < min(outgoing)


def test_no_free_port_is_an_error() -> None:
    """Where all are to be avoided, that is said, with what to do."""
    with pytest.raises(StackError, match="No port from 20000 to 32767") as raised:
        ports.any_free(avoid=range(65_536))

    assert raised.value.remedy


def test_holder_is_named(port: int) -> None:
    """The holder is told with pid and command."""
    with listener(port):
        holder = ports.holder(port)

    assert holder.startswith(f"pid {os.getpid()} (")
    assert "python" in holder.lower() or "pytest" in holder


def test_unknown_holder_is_admitted(port: int) -> None:
    """When nothing can be found out, that is what is said."""
    assert ports.holder(port) == "a process of another user or a container"
