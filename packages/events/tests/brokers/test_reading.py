"""Groups read, wait, claim and acknowledge, each at its own pace. Every broker keeps this."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from sherpa.events.brokers.broker import Broker, Entry
from sherpa.events.errors import NoGroupError

type Lose = Callable[[], Awaitable[None]]

LONG_SECONDS = 30.0  # nothing that is right takes so long


async def append(broker: Broker, *texts: str, partition: int = 0) -> None:
    """Append entries, as whoever takes the role now."""
    await broker.append(
        partition, await broker.take(partition, "relay"), [{"payload": text} for text in texts]
    )


def texts(entries: Sequence[Entry]) -> list[str | None]:
    """Return the entries' payloads; None for those that are no more."""
    return [entry.fields["payload"] if entry.fields is not None else None for entry in entries]


async def test_a_group_begins_at_the_beginning(broker: Broker) -> None:
    """A group that is made after entries were appended gets them."""
    await append(broker, "1", "2")
    made = [await broker.ensure_group(0, "h"), await broker.ensure_group(0, "h")]
    token = await broker.take(0, "h")

    read = await broker.read(0, "h", "c", token, count=10)

    assert [True, False] == made
    assert ["1", "2"] == texts(read)


async def test_a_group_can_come_before_the_stream(broker: Broker) -> None:
    """A group may be made, and read, before anything was appended."""
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")

    before = await broker.read(0, "h", "c", token, count=10)
    await append(broker, "1")
    after = await broker.read(0, "h", "c", token, count=10)

    assert ([], ["1"]) == (texts(before), texts(after))


async def test_reads_go_on_where_the_last_one_ended(broker: Broker) -> None:
    """Each entry is given to a group once, in order, as many at a time as it asks for."""
    await append(broker, "1", "2", "3")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")

    reads = [texts(await broker.read(0, "h", "c", token, count=2)) for _ in range(3)]

    assert [["1", "2"], ["3"], []] == reads


async def test_every_group_gets_every_entry(broker: Broker) -> None:
    """Groups don't take anything away from each other."""
    await append(broker, "1")

    for group in ("a", "b"):
        await broker.ensure_group(0, group)
        token = await broker.take(0, group)

        assert ["1"] == texts(await broker.read(0, group, "c", token, count=10))


async def test_ids_rise(broker: Broker) -> None:
    """Ids compare, number by number, as the entries were appended."""
    await append(broker, *map(str, range(20)))
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")

    ids = [entry.id for entry in await broker.read(0, "h", "c", token, count=20)]

    assert ids == sorted(ids, key=lambda each: tuple(map(int, each.split("-"))))
    assert 20 == len(set(ids))


async def test_a_lost_group_is_an_error(broker: Broker, lose_everything: Lose) -> None:
    """Who reads, claims, reaps or asks for a group that is no more is told; acknowledging does no harm."""
    await broker.ensure_group(0, "h")
    await lose_everything()
    token = await broker.take(0, "h")

    await broker.acknowledge(0, "h", ["1-0"])
    for attempt in (
        broker.read(0, "h", "c", token, count=1),
        broker.claim(0, "h", "c", token, count=1),
        broker.reap(0, "h", keep="c"),
        broker.consumers(0, "h"),
    ):
        with pytest.raises(NoGroupError):
            await attempt


async def test_waiting_ends_with_an_entry(broker: Broker, another: Broker) -> None:
    """Who waits is woken by an append, whichever process appends."""
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    await broker.read(0, "h", "c", token, count=10)

    async with asyncio.timeout(LONG_SECONDS / 2), asyncio.TaskGroup() as group:
        group.create_task(broker.wait(0, "h", seconds=LONG_SECONDS))
        await asyncio.sleep(0.05)
        group.create_task(append(another, "1"))

    assert ["1"] == texts(await broker.read(0, "h", "c", token, count=10))


async def test_waiting_misses_nothing(broker: Broker) -> None:
    """An entry that came between the read and the wait ends the wait."""
    await append(broker, "0")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    while await broker.read(0, "h", "c", token, count=10):
        pass
    await append(broker, "1")

    async with asyncio.timeout(LONG_SECONDS / 2):
        await broker.wait(0, "h", seconds=LONG_SECONDS)

    assert ["1"] == texts(await broker.read(0, "h", "c", token, count=10))


async def test_all_who_wait_are_woken(broker: Broker) -> None:
    """Groups that wait for the same partition are woken by the same entry, wherever each has got to."""
    groups = ["a", "b", "c"]
    await append(broker, "0")
    for group in groups:
        await broker.ensure_group(0, group)
        token = await broker.take(0, group)
        await broker.read(0, group, "c", token, count=10)

    async with asyncio.timeout(LONG_SECONDS / 2), asyncio.TaskGroup() as tasks:
        for group in groups:
            tasks.create_task(broker.wait(0, group, seconds=LONG_SECONDS))
        await asyncio.sleep(0.05)
        tasks.create_task(append(broker, "1"))


async def test_who_is_behind_does_not_wait(broker: Broker) -> None:
    """A group with entries to read doesn't wait beside one that has read them."""
    await append(broker, "0")
    for group in ("ahead", "behind"):
        await broker.ensure_group(0, group)
    behind = await broker.take(0, "behind")
    await broker.read(0, "behind", "c", behind, count=10)
    await append(broker, "1")
    ahead = await broker.take(0, "ahead")
    await broker.read(0, "ahead", "c", ahead, count=10)

    waiting = asyncio.create_task(broker.wait(0, "ahead", seconds=LONG_SECONDS))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(LONG_SECONDS / 2):
        await broker.wait(0, "behind", seconds=LONG_SECONDS)

    assert not waiting.done()
    waiting.cancel()


async def test_who_has_read_an_emptied_stream_waits(broker: Broker) -> None:
    """Where all was read and trimmed away, groups wait for the next entry, however many wait already."""
    await append(broker, "0")
    tokens = {}
    for group in ("a", "b"):
        await broker.ensure_group(0, group)
        tokens[group] = await broker.take(0, group)
        (entry,) = await broker.read(0, group, "c", tokens[group], count=10)
        await broker.acknowledge(0, group, [entry.id])
    first = asyncio.create_task(broker.wait(0, "a", seconds=LONG_SECONDS))
    await asyncio.sleep(0.05)

    trimmed = await broker.trim(0)
    assert [] == await broker.read(0, "b", "c", tokens["b"], count=10)
    second = asyncio.create_task(broker.wait(0, "b", seconds=LONG_SECONDS))
    await asyncio.sleep(0.05)
    waited = not first.done() and not second.done()
    await append(broker, "1")
    async with asyncio.timeout(LONG_SECONDS / 2):
        await asyncio.gather(first, second)

    assert (1, True) == (trimmed, waited)


async def test_waiting_ends_without_an_entry(broker: Broker) -> None:
    """Who waits for what doesn't come is let go after the time that it gave."""
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    await broker.read(0, "h", "c", token, count=10)

    async with asyncio.timeout(LONG_SECONDS):
        await broker.wait(0, "h", seconds=0.01)


async def test_claims_what_another_has_pending(broker: Broker) -> None:
    """Pending entries are claimed oldest first, page by page, whoever had them; acknowledged ones aren't."""
    await append(broker, "1", "2", "3", "4")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    read = await broker.read(0, "h", "dead", token, count=3)
    await broker.acknowledge(0, "h", [read[1].id])

    first = await broker.claim(0, "h", "alive", token, count=1)
    second = await broker.claim(0, "h", "alive", token, count=10, after=first[0].id)

    assert (["1"], ["3"]) == (texts(first), texts(second))


async def test_acknowledged_is_done(broker: Broker) -> None:
    """What was acknowledged is not pending; acknowledging it again, or nothing, does no harm."""
    await append(broker, "1", "2")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    ids = [entry.id for entry in await broker.read(0, "h", "c", token, count=10)]

    await broker.acknowledge(0, "h", ids[:1])
    await broker.acknowledge(0, "h", ids[:1])
    await broker.acknowledge(0, "h", [])

    assert ["2"] == texts(await broker.claim(0, "h", "c", token, count=10))


async def test_reaps_the_names_of_the_dead(broker: Broker) -> None:
    """Consumers without anything pending are deleted, but for the one to keep and those with something."""
    await append(broker, "1", "2", "3")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    for consumer in ("busy", "idle", "kept"):
        entries = await broker.read(0, "h", consumer, token, count=1)
        await broker.acknowledge(0, "h", [entry.id for entry in entries if consumer != "busy"])

    reaped = await broker.reap(0, "h", keep="kept")
    state = await broker.state(0)

    assert (1, 2, 1) == (reaped, state.groups[0].consumers, state.groups[0].pending)


async def test_tells_who_reads(broker: Broker) -> None:
    """Each consumer with how long ago it last asked, whatever it has in hand."""
    await append(broker, "1", "2", "3")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    before = await broker.consumers(0, "h")
    for consumer in ("again", "once", "again"):
        await broker.read(0, "h", consumer, token, count=1)
        await asyncio.sleep(0.01)

    again, once = sorted(await broker.consumers(0, "h"), key=lambda consumer: consumer.name)

    assert ([], "again", "once") == (list(before), again.name, once.name)
    assert 0 < again.idle_seconds < once.idle_seconds


async def test_drops_a_group(broker: Broker) -> None:
    """A dropped group is gone, with what it had pending; dropping what isn't there does no harm."""
    await append(broker, "1")
    await broker.ensure_group(0, "h")

    dropped = [
        await broker.drop_group(0, "h"),
        await broker.drop_group(0, "h"),
        await broker.drop_group(7, "h"),
    ]

    assert ([True, False, False], ()) == (dropped, (await broker.state(0)).groups)


async def test_peeking_changes_nothing(broker: Broker) -> None:
    """Whoever peeks sees the newest entry, or those above one, and every group still gets them all."""
    await append(broker, "1", "2", "3")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")

    (newest,) = await broker.peek(0, after=None, count=10)
    first = await broker.peek(0, after="0-0", count=1)
    rest = await broker.peek(0, after=first[0].id, count=10)

    assert ["3"] == texts([newest])
    assert (["1"], ["2", "3"]) == (texts(first), texts(rest))
    assert [] == [
        *await broker.peek(0, after=newest.id, count=10),
        *await broker.peek(1, after=None, count=1),
    ]
    assert ["1", "2", "3"] == texts(await broker.read(0, "h", "c", token, count=10))
