"""Who leads a partition: whoever's session holds its lock, and no one of another division into partitions."""

from typing import Final

from sherpa.config.sections.events import MOST_PARTITIONS
from sherpa.events import locks
from sherpa.events.relay.outcome import Outcome
from sherpa.events.relay.session import SILENCE_SECONDS, Session

# Changes nothing, and is refused to whoever may not mark.
_MARK_NOTHING: Final = "UPDATE outbox SET processed_at = processed_at WHERE false"


def lock_name(partition: int, partitions: int) -> str:
    """Return the name of the lock that a partition's leader holds."""
    return f"relay/{partition}/{partitions}"


def layout_name(partitions: int) -> str:
    """Return the name of the lock that all leaders of so many partitions share."""
    return f"relay/layout/{partitions}"


async def seek(session: Session, partition: int, partitions: int) -> Outcome:
    """Take the lead of a partition if nobody has it and nobody divides otherwise.

    Return LEADING, STANDBY or OTHER_LAYOUT; the lock is kept in the first case only. Raises the driver's
    error where this session can't mark events as published: it would publish the same ones for ever.
    """
    name = lock_name(partition, partitions)
    if not await locks.take(session.connection, name):
        leader = (await locks.holders(session.connection, [name])).get(name, ())
        await locks.end_silent(session.connection, leader, seconds=SILENCE_SECONDS)
        return Outcome.STANDBY
    if await _joins(session, partitions):
        await session.connection.execute(_MARK_NOTHING)
        return Outcome.LEADING
    await locks.give_back(session.connection, name)
    return Outcome.OTHER_LAYOUT


async def _joins(session: Session, partitions: int) -> bool:
    """Join the leaders of this layout, unless there are leaders of another one.

    Whoever joins looks only then, so of two layouts' first leaders at least one sees the other.
    """
    name = layout_name(partitions)
    await locks.take(session.connection, name, shared=True)
    others = [layout_name(other) for other in range(1, MOST_PARTITIONS + 1) if other != partitions]
    if not await locks.holders(session.connection, others):
        return True
    await locks.give_back(session.connection, name, shared=True)
    return False
