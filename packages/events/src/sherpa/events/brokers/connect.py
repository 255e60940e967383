"""Makes the broker that the settings name. Nothing is connected yet: the first command does that."""

from collections.abc import Callable
from functools import partial
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from sherpa.config import RedisSettings, RedisTopology
from sherpa.events.brokers.broker import MOST_PARTITIONS, Broker
from sherpa.events.brokers.cluster import Address, ClusterLink
from sherpa.events.brokers.link import Link, PoolLink
from sherpa.events.brokers.streams import StreamBroker

# A Sentinel that does not answer is passed over for the next one.
_SENTINEL_SECONDS = 1.0
# redis-py has no types for these two.
_make_sentinel: Callable[..., Sentinel] = Sentinel
_make_pool: Callable[..., SentinelConnectionPool] = SentinelConnectionPool


def connect(settings: RedisSettings, *, client_name: str = "sherpa-events") -> Broker:
    """Return the broker for these settings; its owner closes it.

    `pool_size` bounds the commands under way; each partition that is waited for has one connection more.
    """
    make = {
        RedisTopology.STANDALONE: _standalone,
        RedisTopology.SENTINEL: _sentinel,
        RedisTopology.CLUSTER: _cluster,
    }[settings.topology]
    link = partial(make, settings, _options(settings) | {"client_name": client_name})
    return StreamBroker(
        link(settings.pool_size),
        link(MOST_PARTITIONS),
        where=", ".join(f"{host}:{port}" for host, port in _servers(settings)),
        timeout_seconds=settings.timeout_seconds,
    )


def _standalone(settings: RedisSettings, options: dict[str, Any], most: int) -> Link:
    return PoolLink(ConnectionPool.from_url(settings.url.reveal(), **options), most=most)


def _sentinel(settings: RedisSettings, options: dict[str, Any], most: int) -> Link:
    sentinels = _make_sentinel(
        _servers(settings),
        sentinel_kwargs={
            **_timeouts(min(_SENTINEL_SECONDS, settings.timeout_seconds)),
            "password": settings.sentinel_password.reveal() if settings.sentinel_password else None,
            "ssl": settings.url.scheme == "rediss",
            "protocol": 2,
        },
    )
    pool = _make_pool(
        settings.sentinel_master,
        sentinels,
        username=settings.url.username or None,
        password=settings.url.password.reveal() if settings.url.password else None,
        db=int(settings.url.database),
        ssl=settings.url.scheme == "rediss",
        **options,
    )
    return PoolLink(pool, most=most, sentinels=sentinels)


def _cluster(settings: RedisSettings, options: dict[str, Any], most: int) -> Link:
    def link_to(address: Address) -> PoolLink:
        host, port = address
        url = settings.url.replace(host=host, port=port).reveal()
        return PoolLink(ConnectionPool.from_url(url, **options), most=most)

    return ClusterLink(_servers(settings), link_to)


def _options(settings: RedisSettings) -> dict[str, Any]:
    return {
        **_timeouts(settings.timeout_seconds),
        "protocol": 2,
        "decode_responses": True,
        # What a foreign client wrote must not keep a group from reading on.
        "encoding_errors": "replace",
    }


def _timeouts(seconds: float) -> dict[str, Any]:
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        # A command that was sent again because its reply was late would be run twice.
        "retry": Retry(NoBackoff(), retries=0),
    }


def _servers(settings: RedisSettings) -> list[Address]:
    """Return the address in the URL and the further ones."""
    further = (address.rpartition(":") for address in settings.nodes)
    return [
        (settings.url.host, settings.url.port),
        *((host.strip("[]"), int(port)) for host, _, port in further),
    ]
