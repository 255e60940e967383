"""The way to the primary that the Sentinels name: they are asked again and again, not only after a failure.

A primary that was deposed takes writes until it learns of it, ten seconds later, and loses them all then.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel

from sherpa.events.brokers.link import Address, Argument, PoolLink, Reply

ASK_SECONDS = 1.0
_FAILURES = (exceptions.RedisError, OSError)


class SentinelLink:
    """One server that takes writes at a time. It owns the Sentinels' clients."""

    def __init__(self, sentinels: Sentinel, name: str, link_to: Callable[[Address], PoolLink]) -> None:
        self._sentinels = sentinels
        self._name = name
        self._link_to = link_to
        self._links: dict[Address, PoolLink] = {}
        self._primary: PoolLink | None = None
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def command(self, key: str, *arguments: Argument) -> Reply:
        """Send a command to the primary."""
        primary = await self._current()
        try:
            return await primary.command(key, *arguments)
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            self._primary = None
            raise

    async def each_server(self, *arguments: Argument) -> Sequence[Reply]:
        """Send a command to the primary."""
        return [await self.command("", *arguments)]

    async def existing(self, keys: Sequence[str]) -> list[int]:
        """Ask the primary for all keys in one go."""
        return await (await self._current()).existing(keys)

    async def reconnect(self) -> None:
        """Ask the Sentinels before the next command."""
        self._primary = None
        await asyncio.gather(*(link.reconnect() for link in self._links.values()))

    async def close(self) -> None:
        """Close all connections."""
        if self._asking:
            self._asking.cancel()
            with suppress(asyncio.CancelledError, *_FAILURES):
                await self._asking
        await asyncio.gather(*(link.close() for link in self._links.values()))
        await self._sentinels.aclose()

    async def _current(self) -> PoolLink:
        """Return the primary. One that is known is used while the Sentinels are asked whether it still is."""
        if self._asking is None and (not self._primary or time.monotonic() > self._asked_at + ASK_SECONDS):
            self._asking = asyncio.create_task(self._ask(), name=f"ask for {self._name}")
        if self._primary is None and self._asking:
            await asyncio.shield(self._asking)
        if self._primary is None:
            raise MasterNotFoundError(f"No primary is known for {self._name!r}")
        return self._primary

    async def _ask(self) -> None:
        try:
            address = await self._discover()
            if address not in self._links:
                self._links[address] = self._link_to(address)
            if self._links[address] is not self._primary:
                await self._leave_others(address)
            self._primary = self._links[address]
        except _FAILURES:
            # Without a word from the Sentinels the primary that is known is as good as any.
            if self._primary is None:
                raise
        finally:
            self._asked_at = time.monotonic()
            self._asking = None

    async def _discover(self) -> Address:
        try:
            address: Address = await self._sentinels.discover_master(self._name)
        except MasterNotFoundError:
            reasons = [reason for each in self._sentinels.sentinels if (reason := await _find_fault(each))]
            text = "; ".join([f"none knows a living {self._name!r}", *map(str, reasons)])
            raise MasterNotFoundError(text) from (reasons[0] if reasons else None)
        return address

    async def _leave_others(self, address: Address) -> None:
        for other in self._links.keys() - {address}:
            await self._links[other].reconnect()


async def _find_fault(sentinel: Redis) -> Exception | None:
    """Return why a Sentinel can't be asked: `discover_master` keeps that to itself."""
    try:
        await sentinel.ping()
    except _FAILURES as error:
        return error
    return None
