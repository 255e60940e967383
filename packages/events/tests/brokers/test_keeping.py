"""What the broker keeps, what it trims, and what it says about both. Every broker keeps this."""

from collections.abc import Awaitable, Callable

from sherpa.events.brokers.broker import Broker, PartitionState

type Lose = Callable[[], Awaitable[None]]


async def append(broker: Broker, count: int, partition: int = 0) -> None:
    """Append so many entries, as whoever takes the role now."""
    entries = [{"payload": str(number)} for number in range(count)]
    await broker.append(partition, await broker.take(partition, "relay"), entries)


def first_id(state: PartitionState) -> str | None:
    """Return the oldest entry's id."""
    return state.first.id if state.first else None


async def read(broker: Broker, group: str, count: int) -> list[str]:
    """Read for a group, which is made if need be; return the ids."""
    await broker.ensure_group(0, group)
    token = await broker.take(0, group)
    return [entry.id for entry in await broker.read(0, group, "c", token, count=count)]


async def test_trims_nothing_without_a_group(broker: Broker) -> None:
    """As long as there is no group, all entries are kept: its first one will begin at the beginning."""
    await append(broker, 3)

    assert (0, 3) == (await broker.trim(0), (await broker.state(0)).length)


async def test_trims_nothing_that_is_pending(broker: Broker) -> None:
    """Entries that were given to a group but not acknowledged are kept, with all that came after them."""
    await append(broker, 5)
    ids = await read(broker, "h", 4)
    await broker.acknowledge(0, "h", [ids[0], ids[2]])

    trimmed = await broker.trim(0)
    state = await broker.state(0)

    assert (1, 4, ids[1]) == (trimmed, state.length, first_id(state))


async def test_trims_for_the_slowest_group(broker: Broker) -> None:
    """What one group has not been given yet is kept, although another one is done with it."""
    await append(broker, 5)
    await broker.acknowledge(0, "fast", await read(broker, "fast", 5))
    await broker.acknowledge(0, "slow", await read(broker, "slow", 2))

    assert (2, 3) == (await broker.trim(0), (await broker.state(0)).length)


async def test_trims_nothing_for_a_group_that_never_read(broker: Broker) -> None:
    """A group that was made and has read nothing yet keeps all entries."""
    await append(broker, 5)
    await broker.acknowledge(0, "fast", await read(broker, "fast", 5))
    await broker.ensure_group(0, "new")

    assert 0 == await broker.trim(0)


async def test_an_emptied_stream_goes_on(broker: Broker) -> None:
    """When everything was trimmed, groups read on with the next entry, and none comes twice."""
    await append(broker, 3)
    before = await read(broker, "h", 10)
    await broker.acknowledge(0, "h", before)
    trimmed = await broker.trim(0)
    emptied = await broker.state(0)

    await append(broker, 1)
    after = await read(broker, "h", 10)

    assert (3, 1, 0) == (trimmed, len(after), len({*before} & {*after}))
    assert (0, None, ["h"]) == (emptied.length, first_id(emptied), [group.name for group in emptied.groups])


async def test_trims_many(broker: Broker) -> None:
    """However many entries there are, exactly those that nobody needs go."""
    await append(broker, 1000)
    ids = await read(broker, "h", 777)
    await broker.acknowledge(0, "h", ids[:-1])

    assert (776, ids[-1]) == (await broker.trim(0), first_id(await broker.state(0)))


async def test_trimming_what_is_not_there_does_no_harm(broker: Broker) -> None:
    """A partition without a stream has nothing to trim."""
    assert 0 == await broker.trim(9)


async def test_state_counts(broker: Broker) -> None:
    """The state says how much there is, and how far each group is."""
    await append(broker, 5)
    ids = await read(broker, "h", 3)
    await broker.acknowledge(0, "h", ids[:1])

    state = await broker.state(0)
    (group,) = state.groups

    assert (5, ids[0], True) == (state.length, first_id(state), state.memory_bytes > 0)
    assert ("h", 2, 2, ids[2], 1) == (
        group.name,
        group.pending,
        group.lag,
        group.last_delivered_id,
        group.consumers,
    )


async def test_state_of_a_stream_trimmed_to_nothing(broker: Broker) -> None:
    """A stream whose entries are all gone has no first one, and its group as before."""
    await append(broker, 2)
    await broker.acknowledge(0, "h", await read(broker, "h", 2))
    await broker.trim(0)

    state = await broker.state(0)

    assert (0, None, ["h"]) == (state.length, first_id(state), [group.name for group in state.groups])


async def test_state_of_nothing_is_empty(broker: Broker) -> None:
    """A partition without a stream is empty."""
    assert PartitionState(
        length=0, memory_bytes=0, first=None, last_id="0-0", bookmark=None, groups=()
    ) == await broker.state(3)


async def test_keeps_the_newest_bookmark(broker: Broker) -> None:
    """It is of the last append that brought one, and outlives its entries, until it is forgotten."""
    token = await broker.take(0, "relay")
    ends = [await broker.append(0, token, [{"payload": "1"}], bookmark=text) for text in ("one", "two", "")]
    await broker.acknowledge(0, "h", await read(broker, "h", 3))
    await broker.trim(0)
    kept = (await broker.state(0)).bookmark, (await broker.state(1)).bookmark
    for partition in range(2):
        await broker.forget_bookmark(partition)

    assert (f"two {ends[1]}", None) == kept
    assert None is (await broker.state(0)).bookmark


async def test_names_the_partitions(broker: Broker) -> None:
    """Partitions with a stream are named in order; they do not mix."""
    for partition, count in ((11, 1), (2, 2), (255, 3)):
        await append(broker, count, partition)

    lengths = {partition: (await broker.state(partition)).length for partition in await broker.partitions()}

    assert {2: 2, 11: 1, 255: 3} == lengths
    assert [2, 11, 255] == list(lengths)


async def test_remembers_the_layout_until_the_loss(broker: Broker, lose_everything: Lose) -> None:
    """The number of partitions is kept as long as the streams, and lost with them."""
    before = await broker.layout()
    await broker.record_layout(4)
    kept = await broker.layout()
    await lose_everything()

    assert (None, 4, None) == (before, kept, await broker.layout())


async def test_is_empty_after_the_loss(broker: Broker, lose_everything: Lose) -> None:
    """After the loss there is no stream and no group."""
    await append(broker, 3)
    await broker.ensure_group(0, "h")

    await lose_everything()

    assert ([], 0, ()) == (
        list(await broker.partitions()),
        (await broker.state(0)).length,
        (await broker.state(0)).groups,
    )
    assert await broker.ensure_group(0, "h")
