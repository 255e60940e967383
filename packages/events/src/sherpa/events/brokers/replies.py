"""The server's replies, as the scripts and RESP2 give them, in the broker's own words."""

from typing import Any

from sherpa.events.brokers.broker import Consumer, Entry, GroupState, PartitionState
from sherpa.events.brokers.link import Reply


def entry(reply: Reply) -> Entry:
    """Read an entry: its id, and the list of its fields."""
    entry_id, fields = reply
    return Entry(entry_id, pairs(fields))


def consumer(reply: Reply) -> Consumer:
    """Read a consumer: its facts, and among them how many ms it has been idle."""
    facts = pairs(reply)
    return Consumer(facts["name"], facts["idle"] / 1000)


def pairs(reply: Reply) -> dict[str, Any]:
    """Read a list that alternates names and values: RESP2 has no other form for them."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def state(reply: Reply) -> PartitionState:
    """Read what the script `state` returns."""
    length, memory_bytes, first, last_id, bookmark, groups = reply
    return PartitionState(
        length,
        memory_bytes,
        entry(first) if first else None,
        last_id,
        bookmark,
        tuple(_group(pairs(each)) for each in groups),
    )


def _group(facts: dict[str, Any]) -> GroupState:
    return GroupState(
        name=facts["name"],
        pending=facts["pending"],
        lag=facts["lag"],
        last_delivered_id=facts["last-delivered-id"],
        consumers=facts["consumers"],
    )
