"""What a client sees: each server is asked over TCP whether it answers, whose it is, and how far it is.

Nothing here writes, and nothing here is trusted from a process list or a container's health column.
"""

import asyncio
import http.client
import json
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import asyncpg

from sherpa.config import RedisSettings
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.status import Status, read_status
from sherpa.devstack.resp import RedisConnection, RedisReplyError, Reply
from sherpa.devstack.stack import Service, Stack

TIMEOUT_SECONDS = 3.0
APPLICATION = "sherpa-devstack"


class Verdict(StrEnum):
    """What became of a question to a server."""

    ANSWERS = "answers"
    STARTING = "starting"
    SILENT = "silent"  # nobody listens, or what listens speaks another language
    REFUSED = "refused"  # it answers, but doesn't let us in
    NO_DATABASE = "no database"  # it lets us in, but our database isn't there


@dataclass(frozen=True)
class Answer:
    """A server's answer. `identity` is what it calls itself ("": nothing); `detail` is for people."""

    service: Service
    verdict: Verdict
    version: str = ""
    identity: str = ""
    detail: str = ""
    milliseconds: float = 0.0
    migrations: Status | None = None

    @property
    def reachable(self) -> bool:
        """Whether it let us in."""
        return self.verdict in {Verdict.ANSWERS, Verdict.NO_DATABASE}


@dataclass(frozen=True)
class AppAnswer:
    """A process of ours: its HTTP status (None: no answer), and the `status` in its body."""

    code: int | None
    status: str = ""
    detail: str = ""
    milliseconds: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether it does its work."""
        return self.code == http.client.OK


async def ask_servers(stack: Stack) -> dict[Service, Answer]:
    """Ask both servers at the same time."""
    answers = await asyncio.gather(ask_postgres(stack), asyncio.to_thread(ask_redis, stack))
    return {answer.service: answer for answer in answers}


async def ask_postgres(stack: Stack) -> Answer:
    """Connect, run a query, read the identity and the applied migrations."""
    started = time.perf_counter()
    try:
        return await _question(stack, None, Verdict.ANSWERS, started)
    except asyncpg.InvalidCatalogNameError as error:
        return await _ask_maintenance(stack, str(error), started)
    except asyncpg.CannotConnectNowError as error:
        return Answer(Service.POSTGRES, Verdict.STARTING, detail=str(error))
    except asyncpg.PostgresConnectionError as error:
        return Answer(Service.POSTGRES, Verdict.SILENT, detail=str(error))
    except asyncpg.PostgresError as error:
        return Answer(Service.POSTGRES, Verdict.REFUSED, detail=str(error))
    except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
        return Answer(Service.POSTGRES, Verdict.SILENT, detail=_words(error))


async def _ask_maintenance(stack: Stack, detail: str, started: float) -> Answer:
    """Our database is missing: the identity can still be read from the one that every server has."""
    try:
        return await _question(stack, "postgres", Verdict.NO_DATABASE, started)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return Answer(Service.POSTGRES, Verdict.REFUSED, detail=detail)


async def _question(stack: Stack, database: str | None, verdict: Verdict, started: float) -> Answer:
    connection = await asyncpg.connect(**postgres_options(stack, database))
    try:
        # A server that lets us in may still keep us waiting: it is frozen, or somebody holds a lock.
        async with asyncio.timeout(TIMEOUT_SECONDS):
            name, version = await connection.fetchrow(
                "SELECT current_setting('cluster_name'), current_setting('server_version')"
            )
            migrations = await read_status(connection) if verdict is Verdict.ANSWERS else None
            await connection.close()
    finally:
        connection.terminate()  # nothing is left to do on one that was closed
    short = version.split(" ")[0]
    return Answer(Service.POSTGRES, verdict, short, name, "", _since(started), migrations)


def postgres_options(stack: Stack, database: str | None = None) -> dict[str, Any]:
    """How we connect, to the stack's own database unless another is named."""
    options = connect_options(stack.settings.database, APPLICATION) | {"timeout": TIMEOUT_SECONDS}
    return options | ({"database": database} if database else {})


def ask_redis(stack: Stack) -> Answer:
    """PING, then read the identity and the version."""
    started = time.perf_counter()
    try:
        with redis_connection(stack.settings.redis) as connection:
            connection.ask("PING")
            identity = _identity(connection)
            version = _version(connection.ask("INFO", "server"))
    except RedisReplyError as error:
        verdict = Verdict.STARTING if str(error).startswith("LOADING") else Verdict.REFUSED
        return Answer(Service.REDIS, verdict, detail=str(error))
    except (OSError, ValueError) as error:
        return Answer(Service.REDIS, Verdict.SILENT, detail=_words(error))
    return Answer(Service.REDIS, Verdict.ANSWERS, version, identity, "", _since(started))


def redis_connection(settings: RedisSettings) -> RedisConnection:
    """Connect as the settings say."""
    url = settings.url
    return RedisConnection(
        url.host,
        url.port,
        username=url.username or None,
        password=url.password.reveal() if url.password else None,
        tls=url.scheme == "rediss",
        timeout=TIMEOUT_SECONDS,
    )


def _identity(connection: RedisConnection) -> str:
    try:
        reply = connection.ask("CONFIG", "GET", "syslog-ident")
    except RedisReplyError:
        # A managed server doesn't let clients read its settings.
        return ""
    name = reply[1] if isinstance(reply, list) and len(reply) > 1 else b""
    # "redis" (and "valkey") is what a server calls itself that nobody has named.
    return name.decode() if isinstance(name, bytes) and name not in {b"redis", b"valkey"} else ""


def _version(info: Reply) -> str:
    text = info.decode() if isinstance(info, bytes) else ""
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if valkey := facts.get("valkey_version"):
        return f"Valkey {valkey}"
    return f"Redis {facts.get('redis_version', '?')}"


def ask_app(stack: Stack, app: Service) -> AppAnswer:
    """One request to the health of a process of ours."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(app_host(stack, app), stack.port(app), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return AppAnswer(None, detail=_words(error))
    finally:
        connection.close()
    status, detail = _read_health(body)
    return AppAnswer(response.status, status, detail, _since(started))


def app_host(stack: Stack, app: Service) -> str:
    """Where it can be asked: an address that means "all of them" is asked on loopback."""
    host = stack.host(app)
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104  # compared, not bound


def app_url(stack: Stack, app: Service) -> str:
    """Where a browser finds it."""
    host = app_host(stack, app)
    return f"http://{f'[{host}]' if ':' in host else host}:{stack.port(app)}"


def _read_health(body: bytes) -> tuple[str, str]:
    """The status in the answer, and the whole answer in words: `unavailable (schema behind, …)`."""
    try:
        answer = json.loads(body)
        status = str(answer.get("status", ""))
        checks = ", ".join(f"{name} {check['status']}" for name, check in answer.get("checks", {}).items())
    except (ValueError, TypeError, AttributeError, KeyError):
        return "", body.decode(errors="replace")
    return status, f"{status} ({checks})" if checks else status


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
