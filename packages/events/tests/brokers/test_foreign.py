"""Clients in any language share the streams: what they write, delete or group is understood."""

from collections.abc import Callable

import pytest

from sherpa.config import RedisSettings
from sherpa.devstack.embedded.arrangements import ask
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.resp import RedisConnection, Reply
from sherpa.events.brokers.broker import Broker, PartitionState

type Open = Callable[[RedisSettings], Broker]

STREAM = "sherpa:events:0"


@pytest.fixture
def broker(server_settings: RedisSettings, open_broker: Open) -> Broker:
    """Return a broker on the test's own server."""
    return open_broker(server_settings)


def first_id(state: PartitionState) -> str | None:
    """Return the oldest entry's id."""
    return state.first.id if state.first else None


def command(server: ValkeyServer, *words: str) -> Reply:
    """Run a command as a foreign client does."""
    return ask(server.port, *words, password=server.password)


async def test_a_foreign_client_reads_what_was_appended(broker: Broker, server: ValkeyServer) -> None:
    """The stream and its fields have plain names and plain texts."""
    await broker.append(0, await broker.take(0, "relay"), [{"id": "1", "payload": '{"a":"ä"}'}])

    match command(server, "XRANGE", STREAM, "-", "+"):
        case [[_, fields]]:
            assert [b"id", b"1", b"payload", '{"a":"ä"}'.encode()] == fields
        case other:
            pytest.fail(f"No single entry: {other!r}")


async def test_bytes_that_are_no_text_do_not_stop_a_group(broker: Broker, server: ValkeyServer) -> None:
    """An entry with bytes that are no UTF-8 is given like any other, with marks in their place."""
    with RedisConnection("127.0.0.1", server.port, password=server.password) as connection:
        connection.ask("XADD", STREAM, "*", b"pay\xffload", b"\xff\xfe")
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")

    (entry,) = await broker.read(0, "h", "c", token, count=10)

    assert {"pay\ufffdload": "\ufffd\ufffd"} == entry.fields


async def test_deleted_entries_are_claimed_without_fields(broker: Broker, server: ValkeyServer) -> None:
    """A pending entry that somebody deleted is reported once, in its place, and not pending any more."""
    await broker.append(0, await broker.take(0, "relay"), [{"n": str(number)} for number in range(4)])
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    ids = [entry.id for entry in await broker.read(0, "h", "dead", token, count=10)]
    command(server, "XDEL", STREAM, ids[0], ids[2])

    claimed = await broker.claim(0, "h", "alive", token, count=10)
    pending = (await broker.state(0)).groups[0].pending

    assert ids == [entry.id for entry in claimed]
    assert [None, {"n": "1"}, None, {"n": "3"}] == [entry.fields for entry in claimed]
    assert 2 == pending


async def test_foreign_groups_are_spared_by_trimming(broker: Broker, server: ValkeyServer) -> None:
    """What a foreign consumer has not read, or not acknowledged, is not trimmed."""
    await broker.append(0, await broker.take(0, "relay"), [{"n": str(number)} for number in range(10)])
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    ids = [entry.id for entry in await broker.read(0, "h", "c", token, count=10)]
    await broker.acknowledge(0, "h", ids)
    command(server, "XGROUP", "CREATE", STREAM, "analytics", "0")

    unread = await broker.trim(0)
    command(server, "XREADGROUP", "GROUP", "analytics", "a", "COUNT", "6", "STREAMS", STREAM, ">")
    command(server, "XACK", STREAM, "analytics", *ids[:3], ids[4])
    unacknowledged = await broker.trim(0)

    assert (0, 3, ids[3]) == (unread, unacknowledged, first_id(await broker.state(0)))


async def test_a_group_that_was_set_back_keeps_what_it_will_read(
    broker: Broker, server: ValkeyServer
) -> None:
    """Trimming goes by what a group will be given next, although entries further on are pending."""
    await broker.append(0, await broker.take(0, "relay"), [{"n": str(number)} for number in range(6)])
    await broker.ensure_group(0, "h")
    token = await broker.take(0, "h")
    ids = [entry.id for entry in await broker.read(0, "h", "c", token, count=10)]
    await broker.acknowledge(0, "h", ids[:5])
    command(server, "XGROUP", "SETID", STREAM, "h", ids[1])

    assert (2, ids[2]) == (await broker.trim(0), first_id(await broker.state(0)))


async def test_an_evicting_policy_is_a_weakness(broker: Broker, server: ValkeyServer) -> None:
    """A policy under which a full server deletes streams is named, with what to set."""
    before = await broker.weaknesses()
    command(server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    (weakness,) = await broker.weaknesses()

    assert [] == before
    assert weakness.startswith("maxmemory-policy is allkeys-lru")
    assert weakness.endswith("Set maxmemory-policy noeviction.")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [("appendonly", "no", "Set appendonly yes."), ("appendfsync", "no", "Set appendfsync everysec.")],
)
async def test_missing_persistence_is_a_weakness(
    broker: Broker, server: ValkeyServer, setting: str, value: str, expected: str
) -> None:
    """A server that doesn't write down what it confirms is named, with what to set."""
    command(server, "CONFIG", "SET", setting, value)

    (weakness,) = await broker.weaknesses()

    assert weakness.startswith(f"{setting} is {value}")
    assert weakness.endswith(expected)


@pytest.mark.parametrize("forbidden", ["config", "info"])
async def test_what_cannot_be_checked_is_said(
    server: ValkeyServer, server_settings: RedisSettings, open_broker: Open, forbidden: str
) -> None:
    """Where the server lets nobody see its settings, that itself is named."""
    command(server, "ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", f"-{forbidden}")
    broker = open_broker(RedisSettings(url=server_settings.url.replace(username="guest")))

    (weakness,) = await broker.weaknesses()

    assert weakness.startswith("It could not be checked")
    assert forbidden.upper() in weakness


async def test_no_limit_has_no_share(broker: Broker, server: ValkeyServer) -> None:
    """Without a limit there is no share of it; with one there is."""
    without = await broker.memory_share()
    command(server, "CONFIG", "SET", "maxmemory", "100mb")

    share = await broker.memory_share()

    assert without is None
    assert share is not None
    assert 0 < share < 0.5
