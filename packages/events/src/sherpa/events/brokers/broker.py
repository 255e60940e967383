"""What the relay and the handlers need of a broker. Whatever implements it passes `tests/brokers/`.

A partition is a stream, `sherpa:events:{partition}`: entries in the order of their appending, read by groups
that each remember how far they are. Who writes to a partition, or reads for a group, first takes the role
and gets a token; whoever takes it later makes every earlier token worthless, so that a process which was
paused and has lost its role can neither append nor read (fencing).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

BEGINNING = "0-0"
"""Before every entry: no entry has this id."""

type Fields = Mapping[str, str]
"""An entry's fields and their texts, as `sherpa.events.entry` defines them."""

Token = NewType("Token", str)
"""Proof of a role: `{term}:{nonce}`; the term rises with each taking, for people and metrics."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream. `id` is the broker's own, rising within a partition.

    `fields` is None for one that was deleted under a group that had it pending: it is lost to the group.
    """

    id: str
    fields: Fields | None


@dataclass(frozen=True, slots=True)
class GroupState:
    """How far a group is. `lag`: entries not delivered to it yet; None where the server can't tell."""

    name: str
    pending: int
    lag: int | None
    last_delivered_id: str
    consumers: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """A member of a group. `idle_seconds`: since it last asked for entries.

    A server before 7.2 notes only those times at which it had some to give, and who was given any.
    """

    name: str
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A stream: entries in it, bytes it takes, its oldest entry, and its groups.

    `last_id` is of the entry that was appended last, also where it has been trimmed since: it never falls,
    unless data is lost. A stream that is not there has length 0. `bookmark` is the newest that an append
    left, with that append's last id behind a space; it is lost with the entries that came with it, and with
    the stream's loss alone it is not.
    """

    length: int
    memory_bytes: int
    first: Entry | None
    last_id: str
    bookmark: str | None
    groups: tuple[GroupState, ...]


type Position = tuple[int, int]


def position(entry_id: str) -> Position:
    """Return the numbers of an entry's id, which compare as the entries' order."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


class Broker(Protocol):
    """Appends to partitions and reads them in groups.

    Every method raises BrokerUnavailableError when the broker can't be reached or doesn't answer in time.
    """

    async def take(self, partition: int, role: str) -> Token:
        """Take a role in a partition (`relay`, or a group's name) and make every earlier token worthless."""
        ...

    async def append(
        self,
        partition: int,
        token: Token,
        entries: Sequence[Fields],
        *,
        after: str = BEGINNING,
        bookmark: str = "",
    ) -> str:
        """Append all entries, in their order, or none of them; return the last one's id.

        In the same step the `bookmark`, if one is given, replaces the one before, with that id behind it.
        Raises FencedError when the role is another's by now, or the broker has lost data: the role, or an
        entry up to `after`, which was appended last; BrokerFullError when there is no room. After
        BrokerUnavailableError they may be there or not.
        """
        ...

    async def forget_bookmark(self, partition: int) -> None:
        """Delete the partition's bookmark, if there is one."""
        ...

    async def ensure_group(self, partition: int, group: str) -> bool:
        """Make the group, at the beginning of the stream, if it is not there; tell whether it was made."""
        ...

    async def read(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int
    ) -> Sequence[Entry]:
        """Return up to `count` entries that are new to the group, without waiting; they are pending now.

        Raises FencedError, and NoGroupError when the group is not there (any more).
        """
        ...

    async def wait(self, partition: int, group: str, *, seconds: float) -> None:
        """Return when the partition may have entries for the group, or after so many seconds."""
        ...

    async def claim(
        self, partition: int, group: str, consumer: str, token: Token, *, count: int, after: str = "0-0"
    ) -> Sequence[Entry]:
        """Make up to `count` pending entries, whoever has them, this consumer's; oldest first, above `after`.

        Raises FencedError, NoGroupError. An entry that is no more has no fields.
        """
        ...

    async def acknowledge(self, partition: int, group: str, ids: Sequence[str]) -> None:
        """Take entries off the pending ones: the group is done with them."""
        ...

    async def reap(self, partition: int, group: str, *, keep: str) -> int:
        """Delete the group's consumers that have nothing pending, but for `keep`; return how many."""
        ...

    async def consumers(self, partition: int, group: str) -> Sequence[Consumer]:
        """Return who has read or claimed for the group and was not reaped. Raises NoGroupError."""
        ...

    async def peek(self, partition: int, *, after: str | None, count: int) -> Sequence[Entry]:
        """Return up to `count` entries above `after`, to whomever they belong, and change nothing.

        With None it is the newest entry alone, if there is one: the place to follow the stream from.
        """
        ...

    async def drop_group(self, partition: int, group: str) -> bool:
        """Delete the group, and with it what it had pending; tell whether it was there."""
        ...

    async def trim(self, partition: int) -> int:
        """Delete what every group was given and has acknowledged, if there are groups; return how many."""
        ...

    async def state(self, partition: int) -> PartitionState:
        """Return how the partition stands."""
        ...

    async def partitions(self) -> Sequence[int]:
        """Return the numbers of the partitions that have a stream, rising."""
        ...

    async def layout(self) -> int | None:
        """Return into how many partitions what is in the streams was divided; None: nobody has said so yet.

        It is lost with the streams, and with nothing less.
        """
        ...

    async def record_layout(self, partitions: int) -> None:
        """Remember into how many partitions events are divided from now on, for `layout`."""
        ...

    async def memory_share(self) -> float | None:
        """Return how much of the memory it may use the broker uses, 0.0 to 1.0 and above; None: no limit."""
        ...

    async def weaknesses(self) -> Sequence[str]:
        """Return why what it has confirmed could be lost, each a sentence with what to do; none is good."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
