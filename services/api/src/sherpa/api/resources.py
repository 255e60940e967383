"""What the application works with, opened before it serves and closed after: PostgreSQL's pool and Redis."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    RedisError,
    ResponseError,
)

from sherpa.api.errors import StartupError
from sherpa.api.settings import ApiSettings
from sherpa.config import DatabaseSettings, RedisSettings, RedisTopology
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseError
from sherpa.telemetry.logging import get_logger

OPEN_SECONDS = 30.0
# Nothing is under way any more when the resources are closed; what hangs is cut off.
CLOSE_SECONDS = 1.0

# redis-py has no types for these two.
_make_sentinel: Callable[..., Sentinel] = Sentinel
_make_sentinel_pool: Callable[..., ConnectionPool] = SentinelConnectionPool

_log = get_logger(__name__)

# The server answered, and the answer is no: waiting would not help.
_REFUSALS = (AuthenticationError, AuthorizationError, InvalidResponse, ResponseError)


@dataclass(frozen=True)
class Resources:
    """The open dependencies of one application."""

    database: Database
    redis: Redis


@asynccontextmanager
async def open_resources(settings: ApiSettings) -> AsyncIterator[Resources]:
    """Open everything, or raise StartupError saying what is away and what to do; close it in the end."""
    async with (
        open_database(settings.database, within_seconds=OPEN_SECONDS) as database,
        open_redis(settings.redis) as redis,
    ):
        yield Resources(database, redis)


@asynccontextmanager
async def open_database(settings: DatabaseSettings, *, within_seconds: float) -> AsyncIterator[Database]:
    """Open the pool, waiting for a server that starts: without PostgreSQL there is nothing to serve."""
    database = Database(settings, application_name="sherpa-api")
    try:
        await database.open(within_seconds=within_seconds)
    except DatabaseError as error:
        raise StartupError(str(error)) from error
    try:
        yield database
    finally:
        await database.close(grace_seconds=CLOSE_SECONDS)


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Open the pool. Redis away is a warning, for the API works without it; Redis refusing us is fatal."""
    pool, sentinels = _redis_pool(settings)
    redis = Redis.from_pool(pool)
    try:
        await _greet(redis, settings)
        yield redis
    finally:
        await redis.aclose()
        if sentinels:
            await sentinels.aclose()


def _redis_pool(settings: RedisSettings) -> tuple[ConnectionPool, Sentinel | None]:
    """Make the pool for the server of the URL, which is any node of a cluster, or for Sentinel's primary."""
    options: dict[str, Any] = {
        "max_connections": settings.pool_size,
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.timeout_seconds,
        "client_name": "sherpa-api",
        # A connection that the server closed while idle is replaced; more attempts only add to the wait.
        "retry": Retry(NoBackoff(), retries=1),
    }
    if settings.topology is not RedisTopology.SENTINEL:
        timeout = settings.timeout_seconds
        return BlockingConnectionPool.from_url(settings.url.reveal(), timeout=timeout, **options), None
    tls = {"ssl": settings.url.scheme == "rediss"}
    password = settings.sentinel_password.reveal() if settings.sentinel_password else None
    sentinels = _make_sentinel(settings.servers, sentinel_kwargs={**options, **tls, "password": password})
    address = parse_url(settings.url.reveal())
    identity = {name: address[name] for name in ("username", "password", "db") if name in address}
    return _make_sentinel_pool(settings.sentinel_master, sentinels, **identity, **tls, **options), sentinels


async def _greet(redis: Redis, settings: RedisSettings) -> None:
    try:
        await redis.ping()
    except _REFUSALS as error:
        raise StartupError(
            f"Redis at {settings.url} refused us: {error}."
            " Correct the user, password and database in REDIS_URL."
        ) from error
    except RedisError as error:
        _log.warning("Redis is away; starting without it", url=settings.url, reason=str(error))
