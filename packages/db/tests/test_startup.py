"""Opening a database: a server that starts late, one that refuses, TLS, and what the errors say."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret, SslMode
from sherpa.db import startup
from sherpa.db.connecting import connect_error
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseRefusedError, DatabaseUnavailableError
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.errors import ServerFailedError
from sherpa.devstack.harness.waiting import eventually

PASSWORD = "not-to-be-seen"


async def open_and_close(settings: DatabaseSettings, within_seconds: float = 30.0) -> None:
    """Open a database and close it again."""
    database = Database(settings, application_name="startup-test")
    await database.open(within_seconds=within_seconds)
    await database.close()


def with_url(settings: DatabaseSettings, **changes: Any) -> DatabaseSettings:
    """Return settings whose URL differs so."""
    return replace(settings, url=settings.url.replace(**changes))


async def test_open_waits_for_server(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts later than the process is waited for."""
    refused = asyncio.Event()
    monkeypatch.setattr(startup, "_log_attempt", lambda _state: refused.set())
    opening = asyncio.create_task(open_and_close(own_server.settings()))
    await refused.wait()

    await asyncio.to_thread(own_server.server.start)
    await opening

    assert opening.done()


async def test_open_gives_up(database_settings: DatabaseSettings, free_port: Callable[[], int]) -> None:
    """Where nobody listens, the error names the place, the time, the reason and what to do; no password."""
    port = free_port()
    settings = with_url(database_settings, port=port, password=Secret(PASSWORD), database="sherpa")

    with pytest.raises(DatabaseUnavailableError) as caught:
        await open_and_close(settings, within_seconds=0.2)

    message = str(caught.value)
    assert message.startswith(f"PostgreSQL at 127.0.0.1:{port}/sherpa could not be reached within 0.2 s (")
    assert message.endswith("Check that it runs, and the host and port in DATABASE_URL.")
    assert "Connect call failed" in message
    assert PASSWORD not in message


async def test_open_gives_up_on_silence(database_settings: DatabaseSettings) -> None:
    """A server that accepts the connection and never answers doesn't hold open() beyond its time."""

    async def keep_silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    async with await asyncio.start_server(keep_silent, "127.0.0.1") as silent:
        settings = with_url(database_settings, port=silent.sockets[0].getsockname()[1])
        with pytest.raises(DatabaseUnavailableError, match="it gave no answer"):
            await open_and_close(settings, within_seconds=0.2)
        gone.set()


async def test_unknown_host_is_unavailable(database_settings: DatabaseSettings) -> None:
    """A host that DNS doesn't know may be known soon: it is waited for, then named."""
    settings = with_url(database_settings, host="nowhere.invalid")

    with pytest.raises(DatabaseUnavailableError, match=r"PostgreSQL at nowhere\.invalid:"):
        await open_and_close(settings, within_seconds=1.0)


async def test_wrong_password_fails_at_once(database_settings: DatabaseSettings) -> None:
    """A wrong password is no matter of waiting; the error names the variable and not the password."""
    with pytest.raises(DatabaseRefusedError) as caught:
        await open_and_close(with_url(database_settings, password=Secret(PASSWORD)))

    assert "Correct the user and the password in DATABASE_URL." in str(caught.value)
    assert PASSWORD not in str(caught.value)


async def test_missing_database_fails_at_once(database_settings: DatabaseSettings) -> None:
    """A database that doesn't exist is no matter of waiting."""
    with pytest.raises(DatabaseRefusedError, match=r'"nowhere" does not exist\. Create the database'):
        await open_and_close(with_url(database_settings, database="nowhere"))


async def test_server_without_tls_is_refused(database_settings: DatabaseSettings) -> None:
    """Where TLS is required and the server has none, nothing is sent and the error says what to set."""
    with pytest.raises(DatabaseRefusedError, match="It speaks no TLS: switch it on there"):
        await open_and_close(replace(database_settings, ssl_mode=SslMode.REQUIRE))


async def test_failed_open_leaves_no_session(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """When some of the first connections can't be had, those that could are not left behind."""
    await connection.execute(
        f"ALTER DATABASE {database_settings.url.database} CONNECTION LIMIT 3"  # one is ours
    )

    with pytest.raises(DatabaseUnavailableError, match="too many connections"):
        await open_and_close(replace(database_settings, min_connections=5), within_seconds=0.3)

    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'startup-test'
    """
    await eventually(lambda: connection.fetchval(query), 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), DatabaseUnavailableError),
        (asyncpg.TooManyConnectionsError("sorry"), DatabaseUnavailableError),
        (asyncpg.ConnectionDoesNotExistError("closed"), DatabaseUnavailableError),
        (ConnectionRefusedError(111, "refused"), DatabaseUnavailableError),
        (TimeoutError(), DatabaseUnavailableError),
        (ssl.SSLEOFError("cut off in the handshake"), DatabaseUnavailableError),
        (asyncpg.InvalidPasswordError("no"), DatabaseRefusedError),
        (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), DatabaseRefusedError),
        (asyncpg.InvalidCatalogNameError("no"), DatabaseRefusedError),
        (asyncpg.InsufficientPrivilegeError("no CONNECT"), DatabaseRefusedError),
        (asyncpg.ProtocolViolationError("unsupported startup parameter: x"), DatabaseRefusedError),
        (ssl.SSLCertVerificationError("unknown authority"), DatabaseRefusedError),
        (asyncpg.exceptions.ClientConfigurationError("no root.crt"), DatabaseRefusedError),
    ],
)
def test_failed_attempts_are_told_apart(error: Exception, expected: type[Exception]) -> None:
    """What another attempt may mend is unavailable, what it can't is refused."""
    assert expected is type(connect_error(error, "host:5432/name"))


class TlsServer:
    """A PostgreSQL with a certificate of its own for localhost."""

    def __init__(self, own_server: Any) -> None:
        self.own = own_server
        own_server.server.initialise()
        self.certificate = _make_certificate(own_server.place, "server")
        own_server.options |= {
            "ssl": "on",
            "ssl_cert_file": str(self.certificate),
            "ssl_key_file": str(self.certificate.with_suffix(".key")),
        }
        own_server.server.start()

    def settings(self, mode: SslMode, host: str) -> DatabaseSettings:
        """Return how to reach it."""
        settings: DatabaseSettings = self.own.settings()
        return replace(with_url(settings, host=host), ssl_mode=mode)


def _make_certificate(place: Path, name: str) -> Path:
    certificate, key = place / f"{name}.crt", place / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    for path in (certificate, key):
        current_account().own(path)
        path.chmod(0o600)
    return certificate


@pytest.fixture
def tls_server(own_server: Any) -> TlsServer:
    """Return a server that speaks TLS; skip where it can't, or where no openssl makes its certificate."""
    try:
        return TlsServer(own_server)
    except FileNotFoundError:
        pytest.skip("needs the openssl command, to make a certificate")
    except ServerFailedError as error:
        if "SSL is not supported by this build" not in str(error):
            raise
        pytest.skip("needs the full PostgreSQL (libxml2): the self-contained one has no TLS")


@pytest.mark.parametrize(
    ("mode", "host", "expected"),
    [
        (SslMode.DISABLE, "127.0.0.1", False),
        (SslMode.PREFER, "127.0.0.1", True),
        (SslMode.REQUIRE, "127.0.0.1", True),
        (SslMode.VERIFY_CA, "127.0.0.1", True),
        (SslMode.VERIFY_FULL, "localhost", True),
    ],
)
async def test_ssl_mode_is_kept(
    tls_server: TlsServer, mode: SslMode, host: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mode connects to a server that satisfies it, encrypted or not as it says."""
    if mode in {SslMode.VERIFY_CA, SslMode.VERIFY_FULL}:
        monkeypatch.setenv("PGSSLROOTCERT", str(tls_server.certificate))

    async with (
        Database(tls_server.settings(mode, host), application_name="tls") as database,
        database.connection() as connection,
    ):
        encrypted = await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    assert expected == encrypted


@pytest.mark.parametrize(
    ("mode", "host", "trusted"),
    [
        (SslMode.VERIFY_FULL, "127.0.0.1", "server"),  # not the name in the certificate
        (SslMode.VERIFY_FULL, "localhost", "stranger"),
        (SslMode.VERIFY_CA, "127.0.0.1", "stranger"),
        (SslMode.VERIFY_FULL, "localhost", "missing"),
    ],
)
async def test_wrong_certificate_is_refused(
    tls_server: TlsServer, mode: SslMode, host: str, trusted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that can't prove who it is is refused at once."""
    place = tls_server.own.place
    if trusted == "stranger":
        _make_certificate(place, trusted)
    monkeypatch.setenv("PGSSLROOTCERT", str(place / f"{trusted}.crt"))

    with pytest.raises(DatabaseRefusedError):
        await open_and_close(tls_server.settings(mode, host))
