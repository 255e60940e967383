"""The handlers' groups in the broker: listed, and deleted when a handler has been removed for good."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from sherpa.events.brokers.broker import Broker
from sherpa.events.errors import EventsError
from sherpa.events.operations.presence import owners


@dataclass(frozen=True, slots=True)
class Membership:
    """A group in one partition. `lag` is None where the broker can't tell."""

    name: str
    partition: int
    lag: int | None
    pending: int
    consumers: int
    last_delivered_id: str


async def list_groups(broker: Broker) -> Sequence[Membership]:
    """Return all groups of all partitions, by name."""
    found = [
        Membership(group.name, number, group.lag, group.pending, group.consumers, group.last_delivered_id)
        for number in await broker.partitions()
        for group in (await broker.state(number)).groups
    ]
    return sorted(found, key=lambda each: (each.name, each.partition))


async def find_group(connection: asyncpg.Connection, broker: Broker, name: str) -> Sequence[Membership]:
    """Return where the group is. Raises EventsError where it is nowhere, or a worker runs its handler."""
    found = [each for each in await list_groups(broker) if each.name == name]
    if not found:
        raise EventsError(f"No stream has a group {name!r}. `groups list` shows those that there are.")
    held = await owners(connection, [(name, each.partition) for each in found])
    for (_, partition), owner in held.items():
        raise EventsError(
            f"{name} is run in partition {partition} by {owner}: deploy without the"
            " handler first, then forget it."
        )
    return found


async def forget(broker: Broker, groups: Sequence[Membership]) -> int:
    """Delete them, so that streams are trimmed without regard to them; return how many there were still."""
    return sum([await broker.drop_group(each.partition, each.name) for each in groups])
