"""The way to a cluster: a command goes to the node that has the key's slot, and on to where that one points.

The nodes' own client in redis-py sends ASKING on one connection and the command on another (decision 0094).
"""

import asyncio
from collections.abc import Callable, Sequence

from redis import exceptions
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError

from sherpa.events.brokers.link import Address, Argument, PoolLink, Reply

type Range = tuple[int, int, Address]

# While slots move, a node may point to one that knows less.
_MOST_HOPS = 4
_UNREACHABLE = (exceptions.ConnectionError, exceptions.TimeoutError)


class ClusterLink:
    """Several servers that take writes, each for its ranges of slots. `seeds` are asked first for these."""

    def __init__(self, seeds: Sequence[Address], link_to: Callable[[Address], PoolLink]) -> None:
        self._known = list(seeds)
        self._link_to = link_to
        self._links: dict[Address, PoolLink] = {}
        self._ranges: Sequence[Range] = ()
        self._asking = asyncio.Lock()

    async def command(self, key: str, *arguments: Argument) -> Reply:
        """Send a command to the node that has the key. One that points elsewhere has not run it."""
        address = await self._owner(key)
        for _ in range(_MOST_HOPS):
            try:
                return await self._link(address).command(key, *arguments)
            except MovedError as error:
                self._ranges = ()
                address = _target(error, address)
            except AskError as error:
                return await self._link(_target(error, address)).ask(*arguments)
            except (*_UNREACHABLE, ClusterDownError):
                self._doubt(address)
                raise
        raise ClusterDownError(f"CLUSTERDOWN the nodes of the cluster point to each other for {key}")

    async def each_server(self, *arguments: Argument) -> Sequence[Reply]:
        """Send a command to every node that has slots."""
        owners = dict.fromkeys(address for _, _, address in await self._layout())
        try:
            replies = await asyncio.gather(*(self._link(owner).each_server(*arguments) for owner in owners))
        except _UNREACHABLE:
            self._ranges = ()  # another node may have its slots by now
            raise
        return [reply for of_one in replies for reply in of_one]

    async def existing(self, keys: Sequence[str]) -> list[int]:
        """Ask for each key where it would be."""
        there = await asyncio.gather(*(self.command(key, "EXISTS", key) for key in keys))
        return [place for place, is_there in enumerate(there) if is_there]

    async def reconnect(self) -> None:
        """Ask anew who has which slots, on new connections."""
        self._ranges = ()
        await asyncio.gather(*(link.reconnect() for link in self._links.values()))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(link.close() for link in self._links.values()))

    async def _owner(self, key: str) -> Address:
        slot = key_slot(key.encode())
        for first, last, address in await self._layout():
            if first <= slot <= last:
                return address
        self._ranges = ()
        raise ClusterDownError(f"CLUSTERDOWN no node of the cluster has the slot {slot}")

    async def _layout(self) -> Sequence[Range]:
        async with self._asking:
            if not self._ranges:
                self._ranges = await self._ask_around()
                owners = (address for _, _, address in self._ranges)
                self._known = list(dict.fromkeys([*owners, *self._known]))
            return self._ranges

    async def _ask_around(self) -> Sequence[Range]:
        failure: RedisError | None = None
        for address in list(self._known):
            try:
                (slots,) = await self._link(address).each_server("CLUSTER", "SLOTS")
                return [(first, last, (node[0] or address[0], node[1])) for first, last, node, *_ in slots]
            except _UNREACHABLE as error:
                self._doubt(address)
                failure = error
        raise failure or ClusterDownError("CLUSTERDOWN no node of the cluster is known")

    def _link(self, address: Address) -> PoolLink:
        if address not in self._links:
            self._links[address] = self._link_to(address)
        return self._links[address]

    def _doubt(self, address: Address) -> None:
        """Let others be asked before this one who has which slots now."""
        self._ranges = ()
        if address in self._known:
            self._known.remove(address)
            self._known.append(address)


def _target(error: AskError, asked: Address) -> Address:
    """Return where an answer points to; without a host it is another port of the one that was asked."""
    return error.host or asked[0], error.port
