"""Taking the port, for this process alone, and how many connections may be open."""

import errno
import resource
import socket
from typing import NoReturn

import pytest

from sherpa.api import listener as listener_module
from sherpa.api.errors import StartupError
from sherpa.api.listener import address_of, bind, make_room_for_connections


def test_bound_socket_listens() -> None:
    """A connection is accepted by the kernel from the moment of binding."""
    with bind("127.0.0.1", 0) as listener:
        socket.create_connection(listener.getsockname(), timeout=5).close()

        blocking = listener.getblocking()

    assert not blocking


def test_port_of_another_is_refused() -> None:
    """The message names the port, the command that finds the holder, and the setting."""
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]

        with pytest.raises(StartupError, match=rf"Port {port} on 127.0.0.1 is taken.*ss -ltnp.*PORT"):
            bind("127.0.0.1", port)


def test_port_shared_on_purpose_is_refused() -> None:
    """Even a holder that would share its port (SO_REUSEPORT) does not get us as its twin."""
    with socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(("127.0.0.1", 0))
        sharing.listen()

        with pytest.raises(StartupError, match="is taken"):
            bind("127.0.0.1", sharing.getsockname()[1])


def test_foreign_address_is_refused() -> None:
    """An address that is not this machine's is told as such."""
    with pytest.raises(StartupError, match=r"HOST is 192\.0\.2\.1, which is no address of this machine"):
        bind("192.0.2.1", 0)


def test_unknown_name_is_refused() -> None:
    """A HOST that is no address at all is told with HOST and PORT."""
    with pytest.raises(StartupError, match="Correct HOST and PORT"):
        bind("no-such-host.invalid", 0)


def test_version_six_is_bound() -> None:
    """An IPv6 address is listened on, where the machine has it."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")

    try:
        with bind("::1", 0) as listener:
            address, port = address_of(listener), listener.getsockname()[1]
    except StartupError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")

    assert f"[::1]:{port}" == address


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT")
def test_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not taken does not hold its connection for ever: the kernel ends it."""
    monkeypatch.setattr(listener_module, "UNREAD_SECONDS", 1)

    with (
        bind("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        listener.settimeout(5)
        accepted, _ = listener.accept()
        accepted.settimeout(30)
        with accepted, pytest.raises(TimeoutError) as end:
            send_for_ever(accepted)

    assert errno.ETIMEDOUT == end.value.errno


def send_for_ever(connection: socket.socket) -> NoReturn:
    """Send until that fails."""
    while True:
        connection.send(b"x" * 65_536)


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "raised"),
    [
        (1_024, 1_048_576, 8_192, 8_320),
        (1_024, 4_096, 3_968, 4_096),
        (1_024, INFINITE, 8_192, 8_320),
        (1_024, 1_024, 896, None),
        (INFINITE, INFINITE, 8_192, None),
        (64, 64, 32, None),
    ],
)
def test_room_for_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int, raised: int | None
) -> None:
    """The limit on open files is raised as far as needed and allowed, and some are left for the rest."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))

    room = make_room_for_connections()

    assert expected == room
    assert ([] if raised is None else [(raised, hard)]) == limits


def test_system_that_refuses_more_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit cannot be raised, the one there is counts."""

    def refuse(_: int, limit: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, INFINITE))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert 896 == make_room_for_connections()
