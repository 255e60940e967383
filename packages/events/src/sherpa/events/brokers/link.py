"""The way to the servers behind a Protocol: commands go to whichever server has the key, each sent once.

A command whose reply is lost may have been run, so that nothing here sends one again, unless the server has
said that it did not run it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis.asyncio import ConnectionPool, Redis

type Address = tuple[str, int]
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
    """One server that takes writes: a standalone one, a node of a cluster, a primary.

    `most` bounds the commands under way, and so the connections. Who comes too late waits.
    """

    def __init__(self, pool: ConnectionPool, *, most: int) -> None:
        self._pool = pool
        self._redis = Redis.from_pool(pool)
        self._send: Callable[..., Awaitable[Reply]] = self._redis.execute_command
        self._turns = asyncio.Semaphore(most)

    async def command(self, key: str, *arguments: Argument) -> Reply:  # noqa: ARG002  # for a cluster's sake
        """Send a command."""
        async with self._turns:
            return await self._send(*arguments)

    async def each_server(self, *arguments: Argument) -> Sequence[Reply]:
        """Send a command to the one server."""
        async with self._turns:
            return [await self._send(*arguments)]

    async def existing(self, keys: Sequence[str]) -> list[int]:
        """Ask for all keys in one go."""
        there = await self._send_all(*(("EXISTS", key) for key in keys))
        return [place for place, is_there in enumerate(there) if is_there]

    async def ask(self, *arguments: Argument) -> Reply:
        """Send a command for a slot that is on its way to this server, on the same connection as ASKING."""
        _, reply = await self._send_all(("ASKING",), arguments)
        return reply

    async def reconnect(self) -> None:
        """Leave the connections that are not in use."""
        await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def _send_all(self, *commands: tuple[Argument, ...]) -> Sequence[Reply]:
        async with self._turns, self._redis.pipeline(transaction=False) as pipeline:
            add: Callable[..., object] = pipeline.execute_command
            for command in commands:
                add(*command)
            return await pipeline.execute()
