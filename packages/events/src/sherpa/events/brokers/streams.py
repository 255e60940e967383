"""The broker on Redis Streams, whichever way its servers are arranged.

What must be one step is a script; every command is sent once, so that a lost reply never doubles anything.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain

import msgspec
from redis.exceptions import ResponseError

from sherpa.events.brokers import durability, names, replies, scripting
from sherpa.events.brokers.broker import (
    BEGINNING,
    Consumer,
    Entry,
    Fields,
    PartitionState,
    Position,
    Token,
    position,
)
from sherpa.events.brokers.link import Link
from sherpa.events.brokers.translation import ERRORS, means_another_server, translate
from sherpa.events.brokers.watching import Watch
from sherpa.events.errors import NoGroupError

_encode = msgspec.msgpack.Encoder().encode


class StreamBroker:
    """Implements Broker. It owns both links: one for commands, one for those that block."""

    def __init__(self, link: Link, blocking: Link, *, where: str, timeout_seconds: float) -> None:
        self._link = link
        self._blocking = blocking
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._watches: dict[int, Watch] = {}
        self._reached: dict[tuple[int, str], Position] = {}

    async def take(self, partition: int, role: str) -> Token:
        """Take a role. Raises BrokerFullError where there is no room to write it down."""
        keys = (names.fence(partition, role),)
        async with self._translated():
            return Token(await scripting.TAKE.run(self._link, keys, secrets.token_hex(8)))

    async def append(
        self,
        partition: int,
        token: Token,
        entries: Sequence[Fields],
        *,
        after: str = BEGINNING,
        bookmark: str = "",
    ) -> str:
        """Append all entries or none."""
        if not all(entries):
            raise ValueError("An entry without fields can't be appended.")
        packed = _encode([list(chain.from_iterable(fields.items())) for fields in entries])
        keys = (*_keys(partition, "relay"), names.bookmark(partition))
        async with self._translated():
            return str(await scripting.APPEND.run(self._link, keys, token, packed, after, bookmark))

    async def forget_bookmark(self, partition: int) -> None:
        """Delete the bookmark, if it is there."""
        bookmark = names.bookmark(partition)
        async with self._translated():
            await self._link.command(bookmark, "DEL", bookmark)

    async def ensure_group(self, partition: int, group: str) -> bool:
        """Make the group at 0, and the stream with it, unless it is there."""
        stream = names.stream(partition)
        async with self._translated():
            try:
                await self._link.command(stream, "XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
            except ResponseError as error:
                if str(error).startswith("BUSYGROUP"):
                    return False
                raise
        return True

    async def read(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int
    ) -> Sequence[Entry]:
        """Read what is new to the group, in one step with the look at the token."""
        async with self._translated():
            entries, last = await scripting.READ.run(
                self._link, _keys(partition, group), token, group, consumer, count
            )
        self._reached[partition, group] = position(last)
        return [replies.entry(each) for each in entries]

    async def wait(self, partition: int, group: str, *, seconds: float) -> None:
        """Wait beside the other groups that wait for the partition, on one connection."""
        reached = self._reached.get((partition, group))
        if reached is None:  # nothing has been read, so there may be something
            return
        watch = self._watches.get(partition)
        if watch is None:
            watch = self._watches[partition] = Watch(
                self._blocking, partition, timeout_seconds=self._timeout_seconds
            )
        async with self._translated():
            await watch.wait(group, reached, seconds=seconds)

    async def claim(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int, after: str = "0-0"
    ) -> Sequence[Entry]:
        """Claim what is pending; the server forgets at once what it reports as deleted."""
        async with self._translated():
            entries, deleted = await scripting.CLAIM.run(
                self._link, _keys(partition, group), token, group, consumer, count, after
            )
        claimed = [replies.entry(each) for each in entries] + [Entry(each, None) for each in deleted]
        return sorted(claimed, key=lambda entry: position(entry.id))

    async def acknowledge(self, partition: int, group: str, ids: Sequence[str]) -> None:
        """Acknowledge entries; one that is not pending is passed over."""
        if ids:
            stream = names.stream(partition)
            async with self._translated():
                await self._link.command(stream, "XACK", stream, group, *ids)

    async def reap(self, partition: int, group: str, *, keep: str) -> int:
        """Delete the group's idle consumers. Raises NoGroupError."""
        async with self._translated():
            return int(await scripting.REAP.run(self._link, (names.stream(partition),), group, keep))

    async def consumers(self, partition: int, group: str) -> Sequence[Consumer]:
        """Return the group's consumers."""
        stream = names.stream(partition)
        async with self._translated():
            if not await self._link.command(stream, "EXISTS", stream):
                raise NoGroupError
            found = await self._link.command(stream, "XINFO", "CONSUMERS", stream, group)
        return [replies.consumer(each) for each in found]

    async def peek(self, partition: int, *, after: str | None, count: int) -> Sequence[Entry]:
        """Read without a group."""
        stream = names.stream(partition)
        async with self._translated():
            if after is None:
                found = await self._link.command(stream, "XREVRANGE", stream, "+", "-", "COUNT", 1)
            else:
                found = await self._link.command(stream, "XRANGE", stream, f"({after}", "+", "COUNT", count)
        return [Entry(entry_id, fields) for entry_id, fields in found]

    async def drop_group(self, partition: int, group: str) -> bool:
        """Delete the group, if it is there."""
        stream = names.stream(partition)
        async with self._translated():
            if not await self._link.command(stream, "EXISTS", stream):
                return False
            return bool(await self._link.command(stream, "XGROUP", "DESTROY", stream, group))

    async def trim(self, partition: int) -> int:
        """Trim the stream, in one step with the look at all its groups."""
        async with self._translated():
            return int(await scripting.TRIM.run(self._link, (names.stream(partition),)))

    async def state(self, partition: int) -> PartitionState:
        """Return how the partition stands, all of it at one moment."""
        keys = (names.stream(partition), names.bookmark(partition))
        async with self._translated():
            reply = await scripting.STATE.run(self._link, keys)
        return replies.state(reply)

    async def partitions(self) -> Sequence[int]:
        """Return which streams are there. It asks for every possible one: the keyspace may be another's."""
        async with self._translated():
            return await self._link.existing(names.POSSIBLE_STREAMS)

    async def layout(self) -> int | None:
        """Return into how many partitions events are divided."""
        async with self._translated():
            number = await self._link.command(names.LAYOUT, "GET", names.LAYOUT)
        return int(number) if number else None

    async def record_layout(self, partitions: int) -> None:
        """Remember into how many partitions events are divided."""
        async with self._translated():
            await self._link.command(names.LAYOUT, "SET", names.LAYOUT, partitions)

    async def memory_share(self) -> float | None:
        """Return the share of the fullest server."""
        async with self._translated():
            return await durability.memory_share(self._link)

    async def weaknesses(self) -> Sequence[str]:
        """Return the weaknesses of every server."""
        async with self._translated():
            return await durability.weaknesses(self._link)

    async def close(self) -> None:
        """Stop watching and close the connections."""
        await asyncio.gather(*(watch.close() for watch in self._watches.values()))
        await asyncio.gather(self._link.close(), self._blocking.close())

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except ERRORS as error:
            if means_another_server(error):
                await asyncio.gather(self._link.reconnect(), self._blocking.reconnect())
            raise translate(error, self._where) from error


def _keys(partition: int, role: str) -> tuple[str, str]:
    return names.stream(partition), names.fence(partition, role)
