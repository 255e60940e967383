"""Makes the broker that the settings name. Nothing is connected yet: the first command does that."""

from collections.abc import Callable
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from sherpa.config import RedisSettings, RedisTopology
from sherpa.config.sections.events import MOST_PARTITIONS
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.cluster import ClusterLink
from sherpa.events.brokers.link import Address, Link, PoolLink
from sherpa.events.brokers.sentinel import SentinelLink
from sherpa.events.brokers.streams import StreamBroker

# A Sentinel that does not answer is passed over for the next one.
_SENTINEL_SECONDS = 1.0
# redis-py has no types for this one.
_make_sentinel: Callable[..., Sentinel] = Sentinel

type LinkTo = Callable[[Address], PoolLink]


def connect(settings: RedisSettings, *, client_name: str = "sherpa-events") -> Broker:
    """Return the broker for these settings; its owner closes it.

    `pool_size` bounds the commands under way at each server; each partition that is waited for has one
    connection more.
    """
    make = {
        RedisTopology.STANDALONE: _standalone,
        RedisTopology.SENTINEL: _sentinel,
        RedisTopology.CLUSTER: _cluster,
    }[settings.topology]
    return StreamBroker(
        make(settings, _link_to(settings, client_name, settings.pool_size)),
        make(settings, _link_to(settings, client_name, MOST_PARTITIONS)),
        where=", ".join(f"{host}:{port}" for host, port in settings.servers),
        timeout_seconds=settings.timeout_seconds,
    )


def _standalone(settings: RedisSettings, link_to: LinkTo) -> Link:
    return link_to((settings.url.host, settings.url.port))


def _sentinel(settings: RedisSettings, link_to: LinkTo) -> Link:
    password = settings.sentinel_password
    sentinels = _make_sentinel(
        settings.servers,
        sentinel_kwargs={
            **_timeouts(min(_SENTINEL_SECONDS, settings.timeout_seconds)),
            "password": password.reveal() if password else None,
            "ssl": settings.url.scheme == "rediss",
            "protocol": 2,
        },
    )
    return SentinelLink(sentinels, settings.sentinel_master, link_to)


def _cluster(settings: RedisSettings, link_to: LinkTo) -> Link:
    return ClusterLink(settings.servers, link_to)


def _link_to(settings: RedisSettings, client_name: str, most: int) -> LinkTo:
    """Return the function that makes the link to one server, with the URL's user, password and database."""

    def link_to(address: Address) -> PoolLink:
        host, port = address
        url = settings.url.replace(host=host, port=port).reveal()
        options = _options(settings) | {"client_name": client_name}
        return PoolLink(ConnectionPool.from_url(url, max_connections=most, **options), most=most)

    return link_to


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
