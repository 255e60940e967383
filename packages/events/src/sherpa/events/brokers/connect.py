"""Makes the broker that the settings name. Nothing is connected yet: the first command does that."""

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sherpa.config import RedisSettings
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.link import PoolLink
from sherpa.events.brokers.streams import StreamBroker


def connect(settings: RedisSettings, *, client_name: str = "sherpa-events") -> Broker:
    """Return the broker for these settings; its owner closes it.

    `pool_size` bounds the connections for commands; each partition that is waited for has one more.
    """
    options = {
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.timeout_seconds,
        # A command that was sent again because its reply was late would be run twice.
        "retry": Retry(NoBackoff(), retries=0),
        "client_name": client_name,
        "protocol": 2,
        "decode_responses": True,
        # What a foreign client wrote must not keep a group from reading on.
        "encoding_errors": "replace",
    }
    url = settings.url.reveal()
    pool = BlockingConnectionPool.from_url(
        url, max_connections=settings.pool_size, timeout=settings.timeout_seconds, **options
    )
    return StreamBroker(
        PoolLink(pool),
        PoolLink(ConnectionPool.from_url(url, **options)),
        where=f"{settings.url.host}:{settings.url.port}",
        timeout_seconds=settings.timeout_seconds,
    )
