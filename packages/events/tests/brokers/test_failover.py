"""A primary that changes under use: the broker follows the Sentinels, without a restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import psutil
import pytest
from redis.asyncio import Redis

from sherpa.config import RedisSettings, Secret
from sherpa.devstack.embedded.arrangements import WatchedServers, ask, wait_until
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.events.brokers.broker import Broker
from sherpa.events.errors import BrokerUnavailableError, FencedError

type Open = Callable[[RedisSettings], Broker]

LONG_SECONDS = 30.0


@pytest.fixture
def broker(sentinel_settings: RedisSettings, open_broker: Open) -> Broker:
    """Return a broker on the primary that the Sentinel names."""
    return open_broker(sentinel_settings)


@contextlib.asynccontextmanager
async def appending(broker: Broker) -> AsyncIterator[list[str]]:
    """Append numbers one by one inside the block, as the relay does; yield those that were confirmed."""
    confirmed: list[str] = []

    async def run() -> None:
        token = await broker.take(0, "relay")
        number = 0
        while True:
            try:
                await broker.append(0, token, [{"payload": str(number)}])
                confirmed.append(str(number))
                number += 1
            except FencedError:
                token = await broker.take(0, "relay")
            except BrokerUnavailableError:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(run())
    try:
        yield confirmed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def reaches(confirmed: list[str], servers: WatchedServers, but_for: ValkeyServer | None = None) -> None:
    """Wait until ten more were confirmed, and the last of them is on the primary, which is another one."""
    wanted = len(confirmed) + 10

    async def holds() -> bool:
        if len(confirmed) < wanted or (primary := servers.primary()) is but_for:
            return False
        return confirmed[-1] in await payloads(primary, servers.password)

    async with asyncio.timeout(LONG_SECONDS):
        while not await holds():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(0.05)


async def payloads(server: ValkeyServer, password: str) -> list[str]:
    """Return the payloads that a server has in its stream."""
    async with Redis(port=server.port, password=password, decode_responses=True) as redis:
        read: Callable[..., Awaitable[list[tuple[str, dict[str, str]]]]] = redis.execute_command
        return [fields["payload"] for _, fields in await read("XRANGE", "sherpa:events:0", "-", "+")]


async def test_appending_goes_on_after_a_failover(broker: Broker, watched_servers: WatchedServers) -> None:
    """A deposed primary is left before it knows of it: what is confirmed then would be lost with it."""
    async with appending(broker) as confirmed:
        await reaches(confirmed, watched_servers)
        old = watched_servers.primary()
        await asyncio.to_thread(watched_servers.fail_over)
        await reaches(confirmed, watched_servers, but_for=old)
        role = ask(old.port, "ROLE", password=watched_servers.password)

    present = await payloads(watched_servers.primary(), watched_servers.password)
    await asyncio.to_thread(watched_servers.follow, old)

    assert isinstance(role, list)
    assert b"master" == role[0]
    assert present == sorted(present, key=int)


async def test_appending_goes_on_after_a_death(broker: Broker, watched_servers: WatchedServers) -> None:
    """When the primary is killed with -9, the replica takes over and the broker finds it."""
    await asyncio.to_thread(wait_until, watched_servers.is_whole, "a replica")
    async with appending(broker) as confirmed:
        await reaches(confirmed, watched_servers)
        old = watched_servers.primary()
        psutil.Process(old.state().pid).kill()
        await reaches(confirmed, watched_servers, but_for=old)
    await asyncio.to_thread(watched_servers.follow, old)

    assert old is not watched_servers.primary()


async def test_waiting_goes_on_after_a_failover(broker: Broker, watched_servers: WatchedServers) -> None:
    """Who waits on a primary that is deposed hears of what the new one gets."""
    await broker.ensure_group(0, "h")
    await broker.read(0, "h", "c", await broker.take(0, "h"), count=1)
    waiting = asyncio.create_task(broker.wait(0, "h", seconds=LONG_SECONDS * 10))
    await asyncio.sleep(0.1)

    old = watched_servers.primary()
    await asyncio.to_thread(watched_servers.fail_over)
    async with asyncio.timeout(LONG_SECONDS), appending(broker) as confirmed:
        await reaches(confirmed, watched_servers, but_for=old)
        await waiting
    await asyncio.to_thread(watched_servers.follow, old)


async def test_sentinels_without_the_primary_are_named(
    sentinel_settings: RedisSettings, open_broker: Open
) -> None:
    """When no Sentinel knows the primary's name, the error says which name that was."""
    settings = replace(sentinel_settings, sentinel_master="nobody")

    with pytest.raises(BrokerUnavailableError, match="'nobody'"):
        await open_broker(settings).take(0, "relay")


async def test_a_sentinel_with_a_password_is_asked_with_it(
    watched_servers: WatchedServers, sentinel_settings: RedisSettings, open_broker: Open
) -> None:
    """A Sentinel's own password is given to it, and where it is missing, that is said."""
    port = watched_servers.sentinel_port
    ask(port, "ACL", "SETUSER", "default", "resetpass", ">guarded")
    try:
        with pytest.raises(BrokerUnavailableError, match="REDIS_SENTINEL_PASSWORD"):
            await open_broker(sentinel_settings).take(0, "relay")
        settings = replace(sentinel_settings, sentinel_password=Secret("guarded"))
        token = await open_broker(settings).take(0, "relay")
    finally:
        ask(port, "ACL", "SETUSER", "default", "nopass", password="guarded")

    assert token.startswith("1:")
