"""The streams' division into partitions: it changes only when what was divided otherwise has been handled."""

from sherpa.events.brokers.broker import Broker, PartitionState


async def adopt(broker: Broker, partitions: int) -> list[int]:
    """Make this the layout of the streams, if it is not, once every group has drained them.

    Return the partitions that are not drained yet; with any of them, nothing may be published.
    """
    if await broker.layout() == partitions:
        return []
    existing = await broker.partitions()
    waiting = [number for number in existing if not is_drained(await broker.state(number))]
    if waiting:
        return waiting
    for number in existing:
        await broker.trim(number)  # a group made later begins at 0, and must not find what is older
    await broker.record_layout(partitions)
    return []


def is_drained(state: PartitionState) -> bool:
    """Tell whether every group has been given all entries, and has acknowledged them."""
    return state.length == 0 or all(group.pending == 0 and group.lag == 0 for group in state.groups)
