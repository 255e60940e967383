"""PostgreSQL: where it is, how its pool behaves, how the connection is protected."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.choices import Environment, SslMode
from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import choice, integer, seconds, service_url
from sherpa.config.url import ServiceUrl

# The pool makes a place for each connection at once: a slip of the finger must not fill the memory.
MOST_CONNECTIONS = 10_000
_EXAMPLE = "postgresql://user:password@host:5432/database"


def _user_named(url: ServiceUrl) -> Problem | None:
    if url.username:
        return None
    return Problem("DATABASE_URL", "names no user", f"a URL such as {_EXAMPLE}")


def _min_below_max(min_connections: int, max_connections: int) -> Problem | None:
    if min_connections <= max_connections:
        return None
    return Problem(
        "DATABASE_MIN_CONNECTIONS",
        f"{min_connections} is more than DATABASE_MAX_CONNECTIONS, {max_connections}",
        f"{max_connections} or less, or a higher DATABASE_MAX_CONNECTIONS",
    )


def _one_ssl_mode(url: ServiceUrl, ssl_mode: SslMode) -> Problem | None:
    if url.ssl_mode in {None, ssl_mode}:
        return None
    return Problem(
        "DATABASE_SSL_MODE",
        f"is {ssl_mode}, but DATABASE_URL says sslmode={url.ssl_mode}",
        f"DATABASE_SSL_MODE={url.ssl_mode}, or a URL without sslmode",
    )


def _tls(ssl_mode: SslMode, environment: Environment) -> Problem | None:
    if environment is not Environment.PRODUCTION or ssl_mode is not SslMode.PREFER:
        return None
    return Problem(
        "DATABASE_SSL_MODE",
        "leaves TLS to chance, and production requires it",
        "verify-full, verify-ca or require; or disable, which switches TLS off by name",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL."""

    url: ServiceUrl = field(
        metadata=variable(
            "DATABASE_URL",
            service_url("postgresql", "postgres", example=_EXAMPLE),
            "Where PostgreSQL is, who we are there, and which database is ours.",
        )
    )
    min_connections: int = field(
        default=5,
        metadata=variable(
            "DATABASE_MIN_CONNECTIONS", integer(0, MOST_CONNECTIONS), "Connections the pool keeps open."
        ),
    )
    max_connections: int = field(
        default=20,
        metadata=variable(
            "DATABASE_MAX_CONNECTIONS", integer(1, MOST_CONNECTIONS), "Connections the pool opens at most."
        ),
    )
    acquire_timeout_seconds: float = field(
        default=30.0,
        metadata=variable(
            "DATABASE_ACQUIRE_TIMEOUT_SECONDS", seconds(), "How long to wait for a free connection."
        ),
    )
    idle_timeout_seconds: float = field(
        default=600.0,
        metadata=variable(
            "DATABASE_IDLE_TIMEOUT_SECONDS", seconds(), "A connection unused for so long is closed."
        ),
    )
    max_lifetime_seconds: float = field(
        default=1800.0,
        metadata=variable(
            "DATABASE_MAX_LIFETIME_SECONDS", seconds(), "A connection older than this is replaced."
        ),
    )
    ssl_mode: SslMode = field(
        default=SslMode.PREFER,
        metadata=variable(
            "DATABASE_SSL_MODE",
            choice(SslMode),
            "How TLS is used, in libpq's words. Production needs require or better, or disable by name.",
        ),
    )
    statement_cache_size: int = field(
        default=100,
        metadata=variable(
            "DATABASE_STATEMENT_CACHE_SIZE",
            integer(0, 100_000),
            "Prepared statements kept for each connection; 0 behind PgBouncer.",
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_user_named, _min_below_max, _one_ssl_mode, _tls)
