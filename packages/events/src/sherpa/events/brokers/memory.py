"""The broker in this process's memory, for tests: it keeps the same promises, and can lose everything."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sherpa.events.brokers.broker import (
    BEGINNING,
    Consumer,
    Entry,
    Fields,
    GroupState,
    PartitionState,
    Token,
)
from sherpa.events.errors import BrokerFullError, FencedError, NoGroupError


@dataclass(slots=True)
class _Group:
    """Serials are the places of entries in all that was ever appended; consumers have their latest time."""

    delivered: int = 0
    pending: dict[int, str] = field(default_factory=dict)
    consumers: dict[str, float] = field(default_factory=dict)

    @property
    def needed(self) -> int:
        """The oldest serial that is not done with."""
        return min(self.pending, default=self.delivered + 1)


@dataclass(slots=True)
class _Stream:
    entries: dict[int, dict[str, str]] = field(default_factory=dict)
    last: int = 0
    bookmark: str | None = None
    groups: dict[str, _Group] = field(default_factory=dict)


class MemoryBroker:
    """Implements Broker. `room` is how many entries it holds at most, in all partitions; None: no limit."""

    def __init__(self, *, room: int | None = None) -> None:
        self.room = room
        self._streams: dict[int, _Stream] = {}
        self._tokens: dict[tuple[int, str], Token] = {}
        self._layout: int | None = None
        self._waiting: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    def lose_everything(self) -> None:
        """Forget streams, groups and roles, as FLUSHALL does."""
        self._streams.clear()
        self._tokens.clear()
        self._layout = None

    async def take(self, partition: int, role: str) -> Token:
        """Take a role."""
        last = self._tokens.get((partition, role), "0:")
        token = Token(f"{int(last.partition(':')[0]) + 1}:{secrets.token_hex(8)}")
        self._tokens[partition, role] = token
        return token

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
        self._require(partition, "relay", token)
        if self.room is not None and self._held() + len(entries) > self.room:
            raise BrokerFullError(f"The broker in memory has room for {self.room} entries.")
        stream = self._streams.get(partition, _Stream())
        if stream.last < _serial(after):
            raise FencedError
        self._streams[partition] = stream
        for fields in entries:
            stream.last += 1
            stream.entries[stream.last] = dict(fields)
        if bookmark:
            stream.bookmark = f"{bookmark} {_id(stream.last)}"
        for event in self._waiting[partition]:
            event.set()
        return _id(stream.last)

    async def forget_bookmark(self, partition: int) -> None:
        """Delete the bookmark."""
        if stream := self._streams.get(partition):
            stream.bookmark = None

    async def ensure_group(self, partition: int, group: str) -> bool:
        """Make the group at the beginning."""
        groups = self._streams.setdefault(partition, _Stream()).groups
        made = group not in groups
        groups.setdefault(group, _Group())
        return made

    async def read(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int
    ) -> Sequence[Entry]:
        """Read what is new to the group."""
        self._require(partition, group, token)
        stream, reader = self._group(partition, group)
        reader.consumers[consumer] = time.monotonic()
        serials = [serial for serial in stream.entries if serial > reader.delivered][:count]
        reader.pending.update(dict.fromkeys(serials, consumer))
        reader.delivered = max(serials, default=reader.delivered)
        return [_entry(stream, serial) for serial in serials]

    async def wait(self, partition: int, group: str, *, seconds: float) -> None:
        """Wait for the next append, unless there is something to read."""
        stream = self._streams.get(partition)
        if stream is None or group not in stream.groups or stream.last > stream.groups[group].delivered:
            return
        event = asyncio.Event()
        self._waiting[partition].add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[partition].discard(event)

    async def claim(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int, after: str = "0-0"
    ) -> Sequence[Entry]:
        """Claim what is pending; what was deleted is forgotten with that."""
        self._require(partition, group, token)
        stream, reader = self._group(partition, group)
        reader.consumers[consumer] = time.monotonic()
        serials = sorted(serial for serial in reader.pending if serial > _serial(after))[:count]
        claimed = [_entry(stream, serial) for serial in serials]
        for serial, entry in zip(serials, claimed, strict=True):
            if entry.fields is None:
                del reader.pending[serial]
            else:
                reader.pending[serial] = consumer
        return claimed

    async def acknowledge(self, partition: int, group: str, ids: Sequence[str]) -> None:
        """Acknowledge entries; one that is not pending is passed over."""
        stream = self._streams.get(partition)
        if stream and group in stream.groups:
            for entry_id in ids:
                stream.groups[group].pending.pop(_serial(entry_id), None)

    async def reap(self, partition: int, group: str, *, keep: str) -> int:
        """Delete the group's idle consumers."""
        _, reader = self._group(partition, group)
        idle = reader.consumers.keys() - set(reader.pending.values()) - {keep}
        for consumer in idle:
            del reader.consumers[consumer]
        return len(idle)

    async def consumers(self, partition: int, group: str) -> Sequence[Consumer]:
        """Return the group's consumers."""
        _, reader = self._group(partition, group)
        return [Consumer(name, time.monotonic() - at) for name, at in sorted(reader.consumers.items())]

    async def peek(self, partition: int, *, after: str | None, count: int) -> Sequence[Entry]:
        """Read without a group."""
        stream = self._streams.get(partition)
        if stream is None:
            return []
        serials = sorted(stream.entries)
        chosen = (
            serials[-1:] if after is None else [each for each in serials if each > _serial(after)][:count]
        )
        return [_entry(stream, serial) for serial in chosen]

    async def drop_group(self, partition: int, group: str) -> bool:
        """Delete the group, if it is there."""
        stream = self._streams.get(partition)
        return stream is not None and stream.groups.pop(group, None) is not None

    async def trim(self, partition: int) -> int:
        """Delete what every group is done with."""
        stream = self._streams.get(partition)
        if stream is None or not stream.groups:
            return 0
        needed = min(group.needed for group in stream.groups.values())
        done = [serial for serial in stream.entries if serial < needed]
        for serial in done:
            del stream.entries[serial]
        return len(done)

    async def state(self, partition: int) -> PartitionState:
        """Return how the partition stands."""
        stream = self._streams.get(partition, _Stream())
        groups = (
            GroupState(
                name=name,
                pending=len(group.pending),
                lag=sum(serial > group.delivered for serial in stream.entries),
                last_delivered_id=_id(group.delivered),
                consumers=len(group.consumers),
            )
            for name, group in sorted(stream.groups.items())
        )
        size = sum(len(text) for fields in stream.entries.values() for text in (*fields, *fields.values()))
        first = next((_entry(stream, serial) for serial in stream.entries), None)
        return PartitionState(
            len(stream.entries), size, first, _id(stream.last), stream.bookmark, tuple(groups)
        )

    async def partitions(self) -> Sequence[int]:
        """Return which partitions have a stream."""
        return sorted(self._streams)

    async def layout(self) -> int | None:
        """Return into how many partitions events are divided."""
        return self._layout

    async def record_layout(self, partitions: int) -> None:
        """Remember into how many partitions events are divided."""
        self._layout = partitions

    async def memory_share(self) -> float | None:
        """Return the share of the room that is taken."""
        return self._held() / self.room if self.room else None

    async def weaknesses(self) -> Sequence[str]:
        """Say the obvious."""
        return ["Events are in this process's memory and end with it. Use Redis."]

    async def close(self) -> None:
        """Keep everything: others may use the same broker."""

    def _held(self) -> int:
        return sum(len(stream.entries) for stream in self._streams.values())

    def _require(self, partition: int, role: str, token: Token) -> None:
        if self._tokens.get((partition, role)) != token:
            raise FencedError

    def _group(self, partition: int, group: str) -> tuple[_Stream, _Group]:
        stream = self._streams.get(partition)
        if stream is None or group not in stream.groups:
            raise NoGroupError
        return stream, stream.groups[group]


def _entry(stream: _Stream, serial: int) -> Entry:
    return Entry(_id(serial), stream.entries.get(serial))


def _id(serial: int) -> str:
    return f"{serial}-0"


def _serial(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
