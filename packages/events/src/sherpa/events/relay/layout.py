"""The streams' division into partitions: it changes only when what was divided otherwise has been handled."""

from typing import Final

from sherpa.events.brokers.broker import Broker

ROLE: Final = "relay"


async def adopt(broker: Broker, partitions: int) -> list[int]:
    """Make this the layout of the streams, if it is not, once every group has drained them.

    Return the partitions that are not drained yet; with any of them, nothing may be published.
    """
    known = await broker.layout()
    if known == partitions:
        return []
    waiting = [number for number in await broker.partitions() if not await _is_drained(broker, number)]
    if not waiting:
        for number in range(partitions if known else 0):
            await broker.take(number, ROLE)  # a new stream is no sign of a loss: it has a term
            await broker.forget_bookmark(number)  # others have published since what this one had before
        await broker.record_layout(partitions)
    return waiting


async def _is_drained(broker: Broker, partition: int) -> bool:
    # What every group is done with goes: a group that is made later must find nothing that is older.
    await broker.trim(partition)
    state = await broker.state(partition)
    return state.length == 0 or not state.groups
