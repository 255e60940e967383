"""The way to the servers behind a Protocol: commands go to whichever server has the key, each sent once.

A command whose reply is lost may have been run, so that nothing here sends one again, unless the server has
said that it did not run it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

type Argument = str | int | bytes
# What a reply holds depends on the command, which only its caller knows.
type Reply = Any


class Link(Protocol):
    """Sends commands. Raises redis-py's own errors."""

    async def command(self, key: str, *arguments: Argument) -> Reply:
        """Send a command to the server that has the key; return its reply."""
        ...

    async def each_server(self, *arguments: Argument) -> Sequence[Reply]:
        """Send a command to every server that takes writes; return their replies."""
        ...

    async def existing(self, keys: Sequence[str]) -> list[int]:
        """Return the places in `keys` of those that are there."""
        ...

    async def reconnect(self) -> None:
        """Leave the connections that are not in use: the servers' parts have changed."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class PoolLink:
    """One server that takes writes: a standalone one, or the primary that Sentinel names."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._redis = Redis.from_pool(pool)
        self._send: Callable[..., Awaitable[Reply]] = self._redis.execute_command

    async def command(self, key: str, *arguments: Argument) -> Reply:  # noqa: ARG002  # there is only one server
        """Send a command."""
        return await self._send(*arguments)

    async def each_server(self, *arguments: Argument) -> Sequence[Reply]:
        """Send a command to the one server."""
        return [await self._send(*arguments)]

    async def existing(self, keys: Sequence[str]) -> list[int]:
        """Ask for all keys in one go."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.execute_command("EXISTS", key)
            return [place for place, there in enumerate(await pipeline.execute()) if there]

    async def reconnect(self) -> None:
        """Leave the connections that are not in use."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
