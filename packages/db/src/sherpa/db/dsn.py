"""How every part of the project reaches PostgreSQL: one set of arguments for pool, migrations and probes."""

from collections.abc import Mapping
from typing import Any

from sherpa.config import DatabaseSettings
from sherpa.db.errors import DatabaseRefusedError

# A host that swallows packets must not hold an attempt for asyncpg's own 60 s.
CONNECT_TIMEOUT_SECONDS = 10.0

# Twice the longest request (REQUEST_TIMEOUT_SECONDS is 30 by default): nobody waits for the transaction then.
IDLE_IN_TRANSACTION_LIMIT = "60s"
# A statement whose client has gone is ended this soon, and its locks are free, instead of running to its end.
# One value for all, from the start: the server heeds another one only when the time of the first is over.
CLIENT_CHECK_INTERVAL = "500ms"


def connect_options(
    settings: DatabaseSettings,
    application_name: str,
    *,
    server_settings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments for `asyncpg.connect` and `asyncpg.create_pool`.

    `server_settings` are added to those of the project and win over them. The result holds the password.
    """
    url = settings.url
    return {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password.reveal() if url.password else None,
        "database": url.database,
        "ssl": settings.ssl_mode.value,
        "timeout": CONNECT_TIMEOUT_SECONDS,
        "statement_cache_size": settings.statement_cache_size,
        "server_settings": {
            **_session_settings(settings, application_name),
            **(server_settings or {}),
        },
    }


def transaction_settings(settings: DatabaseSettings) -> str:
    """Return the statement that begins every transaction where the session could not be set up; else ""."""
    if not is_behind_pooler(settings):
        return ""
    return f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_LIMIT}'"


def describe_server(settings: DatabaseSettings) -> str:
    """Name the server and database for people, without user or password: `host:port/database`."""
    url = settings.url
    return f"{url.host}:{url.port}/{url.database}"


def is_behind_pooler(settings: DatabaseSettings) -> bool:
    """Tell whether these are settings for a pooler that hands out another session for each transaction."""
    # There prepared statements must be off, and hardly anyone has a reason to switch them off elsewhere.
    return settings.statement_cache_size == 0


def require_sessions(settings: DatabaseSettings, who: str) -> None:
    """Raise DatabaseRefusedError where `who`, who needs sessions to keep, would have those of a pooler."""
    if is_behind_pooler(settings):
        raise DatabaseRefusedError(
            f"{who} needs sessions of its own, and {describe_server(settings)} is a pooler, as"
            " DATABASE_STATEMENT_CACHE_SIZE=0 says. Set DATABASE_URL to PostgreSQL's own address here, and"
            " leave DATABASE_STATEMENT_CACHE_SIZE out."
        )


def _session_settings(settings: DatabaseSettings, application_name: str) -> dict[str, str]:
    tracked = {"application_name": application_name, "TimeZone": "UTC"}
    if is_behind_pooler(settings):
        # PgBouncer refuses a connection that asks for a parameter which it does not track.
        return tracked
    return {
        **tracked,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_LIMIT,
        "client_connection_check_interval": CLIENT_CHECK_INTERVAL,
    }
