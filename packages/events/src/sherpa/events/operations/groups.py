"""The handlers' groups in the broker: listed, and deleted with all else of a handler that was removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from sherpa.config.sections.events import MOST_PARTITIONS
from sherpa.events.brokers.broker import Broker
from sherpa.events.errors import EventsError
from sherpa.events.operations.presence import owners

_COUNT_FAILED: Final = "SELECT count(*) FROM failed_events WHERE handler_name = $1"
# Nobody would ever run those that wait or are to be tried again: `dead-letters` decides on dead ones alone.
_FORGET_FAILED: Final = "DELETE FROM failed_events WHERE handler_name = $1"
# Who asked for entries within this is at work: ours ask each second, others should within some.
_ACTIVE_SECONDS: Final = 60.0


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


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a handler: its groups, and how many events it failed on or keeps waiting."""

    groups: Sequence[Membership]
    failed: int


async def find_remains(connection: asyncpg.Connection, broker: Broker, name: str) -> Remains:
    """Return what is left of it. Raises EventsError where nothing is, or somebody still works for it."""
    groups = [each for each in await list_groups(broker) if each.name == name]
    failed: int = await connection.fetchval(_COUNT_FAILED, name)
    if not groups and not failed:
        raise EventsError(f"No stream has a group {name!r}. `groups list` shows those that there are.")
    held = await owners(connection, [(name, partition) for partition in range(MOST_PARTITIONS)])
    for (_, partition), owner in held.items():
        raise EventsError(
            f"{name} is run in partition {partition} by {owner}: deploy without the"
            " handler first, then forget it."
        )
    for group in groups:
        await _require_idle(broker, group)
    return Remains(groups, failed)


async def _require_idle(broker: Broker, group: Membership) -> None:
    """Refuse while someone reads for it of whom our locks don't tell: on another database, or not ours."""
    for consumer in await broker.consumers(group.partition, group.name):
        if consumer.idle_seconds < _ACTIVE_SECONDS:
            raise EventsError(
                f"{group.name} was read for in partition {group.partition} {consumer.idle_seconds:.0f} s ago"
                f" by {consumer.name}: stop whoever that is, and forget it {_ACTIVE_SECONDS:.0f} s later."
            )


async def forget(connection: asyncpg.Connection, broker: Broker, name: str) -> Remains:
    """Delete it, so that streams are trimmed without regard to it; return what there was."""
    remains = await find_remains(connection, broker, name)
    for group in remains.groups:
        await broker.drop_group(group.partition, name)
    await connection.execute(_FORGET_FAILED, name)
    return remains
