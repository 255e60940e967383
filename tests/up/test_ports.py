"""Ports that someone else has, at the first `up` and later, and servers that are someone else's."""

import io
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sherpa.db.migrations.files import list_files
from sherpa.devstack import envfile, ports
from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.progress import Progress
from sherpa.devstack.settings import read_stack
from sherpa.devstack.stack import APPS, Service
from tests.up.conftest import PATIENCE_SECONDS, Checkout


def port_of(checkout: Checkout, variable: str, file: str = ".env") -> int:
    """The port that a variable names."""
    port = envfile.port_in((checkout.root / file).read_text(), variable)
    assert port
    return port


class Stranger(socketserver.TCPServer):
    """A server that hangs up on whoever calls."""

    allow_reuse_address = True


@contextmanager
def stranger(port: int) -> Iterator[None]:
    """Have a port as somebody else: who merely listens and keeps silent is waited for, for seconds."""
    with Stranger(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield
        server.shutdown()


def test_first_up_finds_free_ports(checkout: Checkout) -> None:
    """Where the usual ports are taken, the first `up` takes others, says which and who has the usual."""
    usual = [port_of(checkout, variable, ".env.example") for variable in envfile.VARIABLES]
    held = [socket.create_server(("127.0.0.1", port)) for port in usual]

    said = checkout.up()

    chosen = [port_of(checkout, variable) for variable in envfile.VARIABLES]
    for variable, before, after in zip(envfile.VARIABLES, usual, chosen, strict=True):
        assert re.search(
            rf"{variable}: port {before} is taken by pid {os.getpid()} \(.+\); using {after}\n", said
        )
    assert not set(usual) & set(chosen)
    assert checkout.status()["well"] is True
    for listener in held:
        listener.close()


def test_port_taken_since_is_an_error(checkout: Checkout) -> None:
    """A port that someone took since is an error with its holder and a way out, and the way out works."""
    checkout.up("--no-api")
    checkout.inv("down")
    before = checkout.settings()
    port = port_of(checkout, "DATABASE_URL")

    with stranger(port):
        failed = checkout.inv("up", "--no-api")
        untouched = checkout.settings()
        mended = checkout.up("--no-api", "--reassign-ports")

    assert failed.returncode == 1
    assert f"DATABASE_URL names port {port}" in failed.stderr
    assert f"pid {os.getpid()}" in failed.stderr
    assert "uv run inv up --reassign-ports" in failed.stderr
    assert untouched == before
    after = port_of(checkout, "DATABASE_URL")
    assert checkout.settings() == before.replace(f"127.0.0.1:{port}/choice", f"127.0.0.1:{after}/choice")
    assert f"using {after}" in mended
    assert checkout.status()["services"]["postgres"]["health"] == "ok"


def test_all_taken_ports_are_told_at_once(checkout: Checkout) -> None:
    """The error lists every port that is taken, and nothing was started."""
    checkout.up("--no-api")
    checkout.inv("down")
    held = [
        socket.create_server(("127.0.0.1", port_of(checkout, variable))) for variable in envfile.VARIABLES
    ]

    failed = checkout.inv("up")

    for listener in held:
        listener.close()
    assert failed.returncode == 1
    assert all(f"{variable} names port" in failed.stderr for variable in envfile.VARIABLES)
    assert set(checkout.pids().values()) == {None}


def test_reassigning_free_ports_changes_nothing(checkout: Checkout) -> None:
    """`--reassign-ports` leaves `.env` and what runs alone when nobody else has a port."""
    checkout.up("--no-api")
    settings, pids = checkout.settings(), checkout.pids()

    said = checkout.up("--no-api", "--reassign-ports")

    assert "no port of this stack is taken by anyone else" in said
    assert (checkout.settings(), checkout.pids()) == (settings, pids)


def test_another_stack_is_never_written_to(make_checkout: Callable[..., Checkout]) -> None:
    """A copy with the same `.env` meets the other's servers, refuses them and changes nothing there."""
    ours, copy = make_checkout("ours"), make_checkout("copy")
    ours.up("--no-api", "--backend", "embedded")
    assert ours.inv("revert", "--all", "--yes").returncode == 0
    (copy.root / ".env").write_text(ours.settings())

    refused = copy.inv("up", "--no-api", "--backend", "embedded")
    closed = [
        copy.inv(*command) for command in (["migrate"], ["revert", "--all", "--yes"], ["psql"], ["redis-cli"])
    ]
    untouched = ours.status()["migrations"]["pending"]
    mended = copy.up("--no-api", "--backend", "embedded", "--reassign-ports")

    assert refused.returncode == 1
    assert ours.status()["identity"] in refused.stderr
    assert "not this stack's" in refused.stderr
    assert [1] * 4 == [each.returncode for each in closed]
    assert all("belongs to another checkout" in each.stderr for each in closed)
    assert untouched == [file.id for file in list_files()]
    assert "using" in mended
    assert ours.status()["migrations"]["pending"] == untouched
    assert copy.status()["migrations"]["pending"] == []


def test_two_first_ups_at_once_do_not_meet(make_checkout: Callable[..., Checkout]) -> None:
    """Two clones brought up for the first time at the same moment end on different ports, both well."""
    clones = [make_checkout("one"), make_checkout("two")]
    example = (clones[0].root / ".env.example").read_text()
    (clones[1].root / ".env.example").write_text(example)

    runs = [clone.begin("up", "--backend", "embedded") for clone in clones]
    said = [run.communicate(timeout=PATIENCE_SECONDS)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], said
    used = [port_of(clone, variable) for clone in clones for variable in envfile.VARIABLES]
    assert len(set(used)) == len(used)
    assert [clone.status()["well"] for clone in clones] == [True, True]


@pytest.mark.parametrize("app", APPS)
def test_port_that_was_taken_for_a_moment_does_not_end_it(checkout: Checkout, app: Service) -> None:
    """A process that met another clone's on its port is started again once that one has moved on."""
    checkout.up()
    assert AppProcess(checkout.root, app).stop(grace_seconds=10)
    stack = read_stack(checkout.root)
    process = AppProcess(checkout.root, app)

    with stranger(stack.port(app)):
        process.ensure_started(stack, Progress(io.StringIO()))
        while process.find():
            time.sleep(0.01)
    answer = process.ensure_ready(stack, Progress(io.StringIO()))

    assert answer.ready
    assert "is taken by another process" in process.log.read_text()


def test_port_changed_by_hand_moves_the_server(checkout: Checkout) -> None:
    """A port that the owner changes in `.env` is where the server and the API are after the next `up`."""
    checkout.up()
    wanted = {variable: ports.any_free() for variable in envfile.VARIABLES}
    before = checkout.pids()
    for variable, port in wanted.items():
        old = port_of(checkout, variable)
        is_url = variable.endswith("_URL")
        checkout.replace(
            f":{old}/" if is_url else f"{variable}={old}",
            f":{port}/" if is_url else f"{variable}={port}",
        )

    checkout.up()

    after = checkout.status()
    assert after["well"] is True
    services = ("postgres", "redis", "api", "worker")
    assert [after["services"][name]["port"] for name in services] == list(wanted.values())
    assert not set(before.values()) & {service["pid"] for service in after["services"].values()}


def test_taken_port_leaves_the_running_api_alone(checkout: Checkout, port: int) -> None:
    """An API whose port is changed to somebody else's goes on where it is, and the port's holder is named."""
    checkout.up()
    before = checkout.pids()
    checkout.replace(f"PORT={port_of(checkout, 'PORT')}", f"PORT={port}")

    with socket.create_server(("127.0.0.1", port)):
        failed = checkout.inv("up")

    assert failed.returncode == 1
    assert f"PORT names port {port}, where something else listens (pid {os.getpid()}" in failed.stderr
    assert before == checkout.pids()


def test_two_on_one_port_are_told(checkout: Checkout) -> None:
    """Two settings with the same port are named as such, and nothing is started."""
    checkout.write_settings()
    port = port_of(checkout, "DATABASE_URL")
    checkout.replace(f":{port_of(checkout, 'REDIS_URL')}/", f":{port}/")

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert f"DATABASE_URL and REDIS_URL both name port {port}." in failed.stderr
    assert set(checkout.pids().values()) == {None}


def test_environment_is_named_as_the_source(checkout: Checkout, port: int) -> None:
    """A DATABASE_URL of the shell that leads to somebody's port is told to come from there."""
    checkout.up("--no-api")

    with stranger(port):
        failed = checkout.inv(
            "up", "--no-api", environment={"DATABASE_URL": f"postgresql://u:secret@127.0.0.1:{port}/d"}
        )

    assert failed.returncode == 1
    assert "DATABASE_URL comes from the environment: unset it" in failed.stderr
    assert "secret" not in failed.stderr


@pytest.fixture
def port() -> int:
    """A free port."""
    return ports.any_free()


def test_lock_file_is_no_hindrance(checkout: Checkout) -> None:
    """What a killed command left in .sherpa keeps nobody from working."""
    state = Path(checkout.root / ".sherpa")
    state.mkdir(mode=0o700)
    (state / "lock").write_text("99999\n")
    (state / "stack.json").write_text('{"backe')
    (state / "api.pid").write_text("1\n")

    checkout.up()

    assert checkout.status()["well"] is True
