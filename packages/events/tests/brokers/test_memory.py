"""What the broker in memory has beside the contract: a room that can be full."""

import pytest

from sherpa.events.brokers.memory import MemoryBroker
from sherpa.events.errors import BrokerFullError


async def test_a_full_room_takes_all_or_nothing() -> None:
    """A batch for which there is no room is not appended at all, and trimming makes room."""
    broker = MemoryBroker(room=3)
    relay = await broker.take(0, "relay")
    await broker.append(0, relay, [{"n": "1"}, {"n": "2"}])

    with pytest.raises(BrokerFullError, match="room for 3"):
        await broker.append(0, relay, [{"n": "3"}, {"n": "4"}])
    share = await broker.memory_share()
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    read = await broker.read(0, "h", "c", token, count=10)
    await broker.acknowledge(0, "h", [entry.id for entry in read])
    await broker.trim(0)
    await broker.append(0, relay, [{"n": "3"}, {"n": "4"}])

    assert pytest.approx(2 / 3) == share
    assert (2, 2) == (len(read), (await broker.state(0)).length)


async def test_memory_is_a_weakness() -> None:
    """The broker in memory says itself that it is none for production."""
    (weakness,) = await MemoryBroker().weaknesses()

    assert weakness.endswith("Use Redis.")


async def test_an_entry_is_a_copy() -> None:
    """Fields that their owner changes after the append stay in the stream as they were."""
    broker = MemoryBroker()
    fields = {"n": "1"}
    await broker.append(0, await broker.take(0, "relay"), [fields])

    fields["n"] = "2"
    (entry,) = await broker.peek(0, after=None, count=1)

    assert {"n": "1"} == entry.fields
