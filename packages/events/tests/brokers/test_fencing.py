"""Whoever has a role can append and read; whoever had it can't. Every broker keeps this."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sherpa.events.brokers.broker import Broker, Token
from sherpa.events.errors import FencedError

type Lose = Callable[[], Awaitable[None]]


async def payloads(broker: Broker, partition: int = 0) -> list[str]:
    """Return the payloads in a stream, read by a group of this function's own."""
    await broker.ensure_group(partition, "witness")
    token = await broker.take(partition, "witness")
    entries = await broker.read(partition, "witness", "w", token, count=1000)
    return [entry.fields["payload"] for entry in entries if entry.fields]


async def test_appends_in_order(broker: Broker) -> None:
    """Entries are in the stream in the order in which they were appended, batch after batch."""
    token = await broker.take(0, "relay")

    await broker.append(0, token, [{"payload": str(number)} for number in range(3)])
    await broker.append(0, token, [{"payload": "3"}])

    assert ["0", "1", "2", "3"] == await payloads(broker)


@pytest.mark.parametrize(
    "text",
    ["", "äöü 漢字 🎻", '{"a": "b\\n\\u0000"}', "line\r\nline", "\0\x01\x7f", "x" * 1_048_576],
    ids=["empty", "unicode", "json", "lines", "control", "one megabyte"],
)
async def test_texts_are_kept(broker: Broker, text: str) -> None:
    """A field's text comes back as it was, whatever letters it has."""
    token = await broker.take(0, "relay")

    await broker.append(0, token, [{"payload": text}])

    assert [text] == await payloads(broker)


async def test_fields_are_kept_in_order(broker: Broker) -> None:
    """An entry has the fields that it was given, in their order, and different ones than its neighbour."""
    entries = [{"id": "1", "type": "a", "payload": "{}"}, {"payload": "{}", "traceparent": "00"}]
    token = await broker.take(0, "relay")
    reader = await broker.take(0, "h")

    await broker.append(0, token, entries)
    await broker.ensure_group(0, "h")
    read = await broker.read(0, "h", "c", reader, count=10)

    assert [list(entry.items()) for entry in entries] == [
        list((entry.fields or {}).items()) for entry in read
    ]


async def test_nothing_is_an_append(broker: Broker) -> None:
    """An empty batch is appended by appending nothing."""
    token = await broker.take(0, "relay")

    await broker.append(0, token, [])

    assert 0 == (await broker.state(0)).length


async def test_an_entry_without_fields_stops_all(broker: Broker) -> None:
    """A batch with an entry that no stream can hold is not appended at all."""
    token = await broker.take(0, "relay")

    with pytest.raises(ValueError, match="without fields"):
        await broker.append(0, token, [{"payload": "1"}, {}])

    assert 0 == (await broker.state(0)).length


async def test_former_relay_appends_nothing(broker: Broker, another: Broker) -> None:
    """A relay whose role was taken is refused, and nothing of its batch is there."""
    old = await broker.take(0, "relay")
    new = await another.take(0, "relay")

    with pytest.raises(FencedError):
        await broker.append(0, old, [{"payload": "old"}])
    await another.append(0, new, [{"payload": "new"}])

    assert ["new"] == await payloads(broker)


async def test_former_reader_reads_nothing(broker: Broker, another: Broker) -> None:
    """A reader whose role was taken gets nothing, and leaves everything to the new one."""
    relay = await broker.take(0, "relay")
    await broker.append(0, relay, [{"payload": "1"}])
    await broker.ensure_group(0, "h")
    old = await broker.take(0, "h")
    new = await another.take(0, "h")

    with pytest.raises(FencedError):
        await broker.read(0, "h", "c", old, count=10)
    with pytest.raises(FencedError):
        await broker.claim(0, "h", "c", old, count=10)

    assert 1 == len(await another.read(0, "h", "c", new, count=10))


async def test_token_opens_one_role_of_one_partition(broker: Broker) -> None:
    """A token is worth nothing for another role or for another partition."""
    relay = await broker.take(0, "relay")
    await broker.ensure_group(0, "h")
    reader = await broker.take(0, "h")
    await broker.take(1, "relay")

    for attempt in (
        broker.append(0, reader, [{"payload": "1"}]),
        broker.append(1, relay, [{"payload": "1"}]),
        broker.read(0, "h", "c", relay, count=1),
    ):
        with pytest.raises(FencedError):
            await attempt


async def test_terms_rise(broker: Broker, another: Broker) -> None:
    """Each taking has a higher term than the one before, whoever takes."""
    takers = [broker, another, broker]

    terms = [int((await taker.take(0, "relay")).partition(":")[0]) for taker in takers]

    assert [1, 2, 3] == terms


async def test_of_many_takers_one_remains(broker: Broker, another: Broker) -> None:
    """Of those who take a role at the same time, the one with the highest term has it, and no other."""
    tokens = await asyncio.gather(*(taker.take(0, "relay") for taker in [broker, another] * 10))

    outcomes = await asyncio.gather(
        *(broker.append(0, token, [{"payload": token}]) for token in tokens), return_exceptions=True
    )

    assert 20 == len(set(tokens))
    assert 19 == sum(isinstance(outcome, FencedError) for outcome in outcomes)
    assert [max(tokens, key=lambda token: int(token.partition(":")[0]))] == await payloads(broker)


async def test_append_tells_where_the_stream_ends(broker: Broker) -> None:
    """What follows that place is appended, also when all before it has been trimmed."""
    token = await broker.take(0, "relay")
    await payloads_are_done(broker)

    end = await broker.append(0, token, [{"payload": "1"}, {"payload": "2"}])
    before = await broker.state(0)
    await payloads_are_done(broker)
    await broker.trim(0)
    trimmed = await broker.state(0)
    last = await broker.append(0, token, [{"payload": "3"}], after=end)

    assert [(end, 2), (end, 0)] == [(before.last_id, before.length), (trimmed.last_id, trimmed.length)]
    assert last == (await broker.state(0)).last_id != end


async def payloads_are_done(broker: Broker) -> None:
    """Read and acknowledge all there is, as the group that is made for it."""
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    entries = await broker.read(0, "h", "c", token, count=1000)
    await broker.acknowledge(0, "h", [entry.id for entry in entries])


async def test_stream_that_has_lost_its_end_is_not_continued(broker: Broker, lose_everything: Lose) -> None:
    """Whoever has the role, and knows that there was more, appends nothing to what is left."""
    end = await broker.append(0, await broker.take(0, "relay"), [{"payload": "1"}])
    await lose_everything()
    token = await broker.take(0, "relay")

    with pytest.raises(FencedError):
        await broker.append(0, token, [{"payload": "2"}], after=end)

    assert [] == await broker.partitions()
    await broker.append(0, token, [{"payload": "2"}])
    assert ["2"] == await payloads(broker)


async def test_lost_data_means_lost_roles(broker: Broker, lose_everything: Lose) -> None:
    """After the broker has lost its data nobody appends in good faith: the relay is told, and takes again."""
    token = await broker.take(0, "relay")
    await broker.append(0, token, [{"payload": "lost"}])

    await lose_everything()
    with pytest.raises(FencedError):
        await broker.append(0, token, [{"payload": "again"}])
    await broker.append(0, await broker.take(0, "relay"), [{"payload": "again"}])

    assert ["again"] == await payloads(broker)


async def test_a_token_from_before_the_loss_stays_worthless(broker: Broker, lose_everything: Lose) -> None:
    """A new token of the same term as an old one does not revive that one."""
    old = await broker.take(0, "relay")
    await lose_everything()
    new = await broker.take(0, "relay")

    with pytest.raises(FencedError):
        await broker.append(0, old, [{"payload": "1"}])

    assert old.partition(":")[0] == new.partition(":")[0]


async def test_an_invented_token_is_refused(broker: Broker) -> None:
    """Where nobody has taken the role, no token is right."""
    with pytest.raises(FencedError):
        await broker.append(0, Token("0:"), [{"payload": "1"}])
