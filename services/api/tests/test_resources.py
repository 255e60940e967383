"""Opening what the application needs, or refusing with a reason."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError
from starlette.applications import Starlette

from sherpa.api.errors import StartupError
from sherpa.api.resources import open_database, open_redis
from sherpa.config import DatabaseSettings, RedisSettings, RedisTopology, Secret, ServiceUrl
from sherpa.devstack.embedded.arrangements import PRIMARY, WatchedServers
from sherpa.devstack.harness.session import OwnFolder

AWAY = ServiceUrl.parse("postgresql://user:hunter2@127.0.0.1:1/none")


async def test_postgresql_away_refuses_after_a_while() -> None:
    """The refusal names the server and what to look at, and no password."""
    settings = DatabaseSettings(url=AWAY)

    with pytest.raises(StartupError, match=r"127\.0\.0\.1:1/none.*DATABASE_URL") as refused:
        async with open_database(settings, within_seconds=0.3):
            pass

    assert "hunter2" not in str(refused.value)


async def test_redis_away_is_gone_without(lines: Any) -> None:
    """An outage is a warning, and the client is there for when it is over."""
    settings = RedisSettings(url=ServiceUrl.parse("redis://:hunter2@127.0.0.1:1/0"))

    async with open_redis(settings):
        pass

    (line,) = lines.of("sherpa.api.resources")
    assert "warning" == line["level"]
    assert "hunter2" not in lines.getvalue()


@pytest.mark.parametrize(
    "change", [{"password": Secret("hunter2")}, {"password": None}, {"database": "9999"}], ids=str
)
async def test_redis_that_says_no_refuses(redis_settings: RedisSettings, change: dict[str, Any]) -> None:
    """A wrong password, none, or a database that is not there will not mend by waiting."""
    url = redis_settings.url.replace(**change)

    with pytest.raises(StartupError, match="REDIS_URL") as refused:
        async with open_redis(RedisSettings(url=url)):
            pass

    assert "hunter2" not in str(refused.value)


async def test_something_else_than_redis_refuses(database_settings: DatabaseSettings) -> None:
    """A port where another protocol is spoken is a wrong URL, or an outage, but never ready."""
    settings = RedisSettings(
        url=ServiceUrl.parse(f"redis://127.0.0.1:{database_settings.url.port}/0"), timeout_seconds=0.5
    )

    async with asyncio.timeout(10), open_redis(settings) as redis:
        with pytest.raises(Exception, match=r".+"):
            await redis.ping()


async def test_silent_redis_is_given_up(lines: Any) -> None:
    """A Redis that takes connections and never answers is away after REDIS_TIMEOUT_SECONDS."""
    arrived: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: arrived.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = RedisSettings(url=ServiceUrl.parse(f"redis://127.0.0.1:{port}/0"), timeout_seconds=0.05)

    async with open_redis(settings) as redis:
        assert 0.05 == redis.connection_pool.connection_kwargs["socket_timeout"]
        with pytest.raises(NoAnswerError):
            await redis.ping()

    (line,) = lines.of("sherpa.api.resources")
    assert ("warning", True) == (line["level"], len(arrived) > 1)
    for writer in arrived:
        writer.close()
    silent.close()


async def test_redis_pool_is_bounded(redis_settings: RedisSettings) -> None:
    """Past REDIS_POOL_SIZE nobody gets a connection of his own: who waits too long for one is told."""
    async with open_redis(replace(redis_settings, pool_size=1, timeout_seconds=0.1)) as redis:
        async with redis.client() as holder:
            assert await holder.ping()
            with pytest.raises(NoConnectionError, match="No connection available"):
                await redis.ping()

        assert await redis.ping()


@pytest.fixture(scope="module")
def watched_servers(own_folder: OwnFolder) -> Iterator[WatchedServers]:
    """Return a primary, its replica and a Sentinel."""
    with own_folder() as folder:
        servers = WatchedServers(folder / "watched", "hunter2")
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()


async def test_redis_is_the_primary_that_a_sentinel_names(watched_servers: WatchedServers) -> None:
    """With REDIS_TOPOLOGY=sentinel the URL is a Sentinel's, and its password the primary's."""
    settings = RedisSettings(
        url=ServiceUrl.parse(f"redis://:hunter2@127.0.0.1:{watched_servers.sentinel_port}/0"),
        topology=RedisTopology.SENTINEL,
        sentinel_master=PRIMARY,
    )

    async with open_redis(settings) as redis:
        info = await redis.info("replication")

    assert ("master", 1) == (info["role"], info["connected_slaves"])


async def test_resources_are_open_while_it_serves(app: Starlette) -> None:
    """PostgreSQL and Redis answer through what the application holds."""
    resources = app.state.resources

    async with resources.database.connection() as connection:
        one = await connection.fetchval("SELECT 1")
    pong = await resources.redis.ping()

    assert (1, True) == (one, pong)


async def test_resources_are_closed_after_it(open_app: Any, api_settings: Any) -> None:
    """After the lifespan no connection of ours is left."""
    async with open_app(api_settings) as app:
        database = app.state.resources.database

    assert 0 == database.pool_stats().size
