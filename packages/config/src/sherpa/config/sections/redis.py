"""Redis: where it is, how its pool behaves, how the connection is protected."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.choices import Environment, RedisSslMode
from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import choice, integer, seconds, service_url
from sherpa.config.url import ServiceUrl

# The pool makes a place for each connection at once: a slip of the finger must not fill the memory.
MOST_CONNECTIONS = 10_000


def _ssl_mode_fits_scheme(url: ServiceUrl, ssl_mode: RedisSslMode) -> Problem | None:
    wanted = {RedisSslMode.DISABLE: "redis", RedisSslMode.VERIFY_FULL: "rediss"}.get(ssl_mode, url.scheme)
    if url.scheme == wanted:
        return None
    return Problem(
        "REDIS_SSL_MODE",
        f"is {ssl_mode}, but REDIS_URL begins with {url.scheme}://",
        f"a REDIS_URL that begins with {wanted}://, or another REDIS_SSL_MODE",
    )


def _tls(url: ServiceUrl, ssl_mode: RedisSslMode, environment: Environment) -> Problem | None:
    encrypted = url.scheme == "rediss" or ssl_mode is not RedisSslMode.PREFER
    if environment is not Environment.PRODUCTION or encrypted:
        return None
    return Problem(
        "REDIS_URL",
        "is without TLS, and production requires it",
        "a URL that begins with rediss://; or REDIS_SSL_MODE=disable, which switches TLS off by name",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Redis."""

    url: ServiceUrl = field(
        metadata=variable(
            "REDIS_URL",
            service_url(
                "redis", "rediss", example="redis://host:6379/0 or rediss://user:password@host:6379/0"
            ),
            "Where Redis is and which of its databases is ours; rediss:// is with TLS.",
        )
    )
    pool_size: int = field(
        default=10,
        metadata=variable(
            "REDIS_POOL_SIZE", integer(1, MOST_CONNECTIONS), "Connections the pool opens at most."
        ),
    )
    timeout_seconds: float = field(
        default=5.0,
        metadata=variable(
            "REDIS_TIMEOUT_SECONDS", seconds(), "How long to wait for a connection or an answer."
        ),
    )
    ssl_mode: RedisSslMode = field(
        default=RedisSslMode.PREFER,
        metadata=variable(
            "REDIS_SSL_MODE",
            choice(RedisSslMode),
            "prefer: the URL's scheme decides. verify-full: it must be rediss://. disable: no TLS, by name.",
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_ssl_mode_fits_scheme, _tls)
