"""What a client sees of a server gets the right word: it serves, starts or refuses, or nobody is there."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from sherpa.config import (
    DatabaseSettings,
    RedisSettings,
    Secret,
    ServerSettings,
    ServiceUrl,
    SslMode,
    WorkerSettings,
)
from sherpa.devstack import probe
from sherpa.devstack.probe import Answer, Verdict, ask_postgres, ask_redis
from sherpa.devstack.stack import Service, Stack, StackSettings

PONG = b"+PONG\r\n"
INFO = b"$25\r\n# Server\r\nredis_version:7\r\n"
FIELDS = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
STARTING_UP = b"E" + (len(FIELDS) + 4).to_bytes(4) + FIELDS
NOWHERE = ServiceUrl.parse("postgresql://sherpa@127.0.0.1:1/none")

type Serve = Callable[[Mapping[bytes, bytes]], int]


@pytest.fixture
def serve(port: int) -> Iterator[Serve]:
    """Return what serves one client by a script, a reply for each command, and gives the port."""
    threads: list[threading.Thread] = []

    def serve(script: Mapping[bytes, bytes], context: ssl.SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", port))
        threads.append(threading.Thread(target=_serve, args=(listener, script, context)))
        threads[-1].start()
        return port

    yield serve
    for thread in threads:
        thread.join()


def _serve(listener: socket.socket, script: Mapping[bytes, bytes], context: ssl.SSLContext | None) -> None:
    with listener:
        client, _ = listener.accept()
        if context:
            client = context.wrap_socket(client, server_side=True)
        with client:
            while request := client.recv(1000):
                client.sendall(next(reply for command, reply in script.items() if command in request))


def stack_with(
    server: ServerSettings | None = None,
    database: DatabaseSettings | None = None,
    redis: RedisSettings | None = None,
    worker: WorkerSettings | None = None,
) -> Stack:
    """A stack with these settings, whose other servers are nowhere."""
    settings = StackSettings(
        server or ServerSettings(),
        database or DatabaseSettings(url=NOWHERE),
        redis or RedisSettings(url=ServiceUrl.parse("redis://127.0.0.1:1")),
        worker or WorkerSettings(),
    )
    return Stack(Path("/"), settings)


def ask(scheme: str, host: str, port: int) -> Answer:
    """Ask a Redis at this address."""
    redis = RedisSettings(url=ServiceUrl.parse(f"{scheme}://{host}:{port}/0"))
    return ask_redis(stack_with(redis=redis))


async def ask_database(settings: DatabaseSettings, **change: object) -> Answer:
    """Ask for a database, at a changed URL."""
    changed = replace(settings, url=settings.url.replace(**change))  # type: ignore[arg-type]  # by its name
    return await ask_postgres(stack_with(database=changed))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            {b"PING": PONG, b"CONFIG": b"*2\r\n$12\r\nsyslog-ident\r\n$3\r\none\r\n", b"INFO": INFO},
            (Verdict.ANSWERS, "one", "Redis 7"),
        ),
        (
            {b"PING": PONG, b"CONFIG": b"*2\r\n$12\r\nsyslog-ident\r\n$5\r\nredis\r\n", b"INFO": INFO},
            (Verdict.ANSWERS, "", "Redis 7"),
        ),
        (
            {b"PING": PONG, b"CONFIG": b"-ERR unknown command\r\n", b"INFO": INFO},
            (Verdict.ANSWERS, "", "Redis 7"),
        ),
        ({b"PING": b"-LOADING Redis is loading the dataset in memory\r\n"}, (Verdict.STARTING, "", "")),
        ({b"PING": b"-NOAUTH Authentication required.\r\n"}, (Verdict.REFUSED, "", "")),
        ({b"PING": b"HTTP/1.1 400 Bad Request\r\n"}, (Verdict.SILENT, "", "")),
    ],
    ids=["named", "without a name", "managed", "loading", "password", "another protocol"],
)
def test_redis_is_understood(
    serve: Serve, script: Mapping[bytes, bytes], expected: tuple[Verdict, str, str]
) -> None:
    """A server that loads its data is waited for, one that wants a password is not; a name is whose it is."""
    answer = ask("redis", "127.0.0.1", serve(script))

    assert expected == (answer.verdict, answer.identity, answer.version)


def test_redis_is_asked_over_tls(
    serve: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rediss:// the server must speak TLS, and prove who it is."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command, to make a certificate")
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    request = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 {subject}".split()
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    answer = ask("rediss", "localhost", serve({b"PING": PONG, b"CONFIG": b"*0\r\n", b"INFO": INFO}, context))

    assert (Verdict.ANSWERS, "Redis 7") == (answer.verdict, answer.version), answer.detail


async def test_starting_postgresql_is_understood(serve: Serve) -> None:
    """A server that lets nobody in yet, as after a crash, is one to wait for."""
    port = serve({b"user": STARTING_UP})
    settings = DatabaseSettings(url=NOWHERE, ssl_mode=SslMode.DISABLE)

    answer = await ask_database(settings, port=port)

    assert (Verdict.STARTING, False) == (answer.verdict, answer.reachable)


async def test_postgresql_is_understood(database_settings: DatabaseSettings) -> None:
    """A migrated database, a missing one, a wrong password and an empty port are told apart."""
    answers = {
        "there": await ask_database(database_settings),
        "no database": await ask_database(database_settings, database="none"),
        "wrong password": await ask_database(database_settings, password=Secret("wrong")),
        "nobody": await ask_database(database_settings, port=1),
    }

    assert {
        "there": Verdict.ANSWERS,
        # The tests' role may not enter the database in which an identity could be read.
        "no database": Verdict.REFUSED,
        "wrong password": Verdict.REFUSED,
        "nobody": Verdict.SILENT,
    } == {name: answer.verdict for name, answer in answers.items()}
    migrations = answers["there"].migrations
    assert migrations is not None
    assert migrations.at_head
    assert answers["there"].version.startswith("16.")


async def test_postgresql_that_keeps_us_waiting_is_silent(
    database_settings: DatabaseSettings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lets us in and then doesn't answer, as behind somebody's lock, is not waited for."""
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 0.5)

    async with connection.transaction():
        await connection.execute("LOCK TABLE migration IN ACCESS EXCLUSIVE MODE")
        answer = await asyncio.wait_for(ask_database(database_settings), timeout=30)

    assert (Verdict.SILENT, False) == (answer.verdict, answer.reachable)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1"),
        ("::1", "http://[::1]"),
        ("api.local", "http://api.local"),
    ],
)
def test_addresses_are_shown_as_a_browser_takes_them(host: str, url: str) -> None:
    """The API's address and the worker's are ones that can be opened, whatever they listen on."""
    stack = stack_with(ServerSettings(host=host), worker=WorkerSettings(host=host))

    assert [f"{url}:8080", f"{url}:8081"] == [
        probe.app_url(stack, app) for app in (Service.API, Service.WORKER)
    ]
