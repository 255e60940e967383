"""Servers that die, freeze, fill up or refuse: each has its error, and all goes on after it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import psutil
import pytest

from sherpa.config import RedisSettings, Secret, ServiceUrl
from sherpa.devstack import ports
from sherpa.devstack.embedded.arrangements import ask
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.resp import Reply
from sherpa.events.brokers.broker import Broker, Token
from sherpa.events.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError, NoGroupError

type Open = Callable[[RedisSettings], Broker]

LONG_SECONDS = 30.0
# As the error names them.
RIGHTS = (
    "~sherpa:events:* ~{sherpa:events:* +@stream +@scripting +@string +@connection +exists +memory|usage"
    " +info +config|get"
)


@pytest.fixture
def broker(server_settings: RedisSettings, open_broker: Open) -> Broker:
    """Return a broker on the test's own server."""
    return open_broker(server_settings)


def command(server: ValkeyServer, *words: str) -> Reply:
    """Let an operator run a command."""
    return ask(server.port, *words, password=server.password)


def process(server: ValkeyServer) -> psutil.Process:
    """Return the server's process."""
    return psutil.Process(server.state().pid)


@contextmanager
def frozen(server: ValkeyServer) -> Iterator[None]:
    """Let the server's clock stand still inside the block."""
    os.kill(process(server).pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process(server).pid, signal.SIGCONT)


def kill(server: ValkeyServer) -> None:
    """Kill the server with -9, and wait for its end."""
    victim = process(server)
    victim.kill()
    victim.wait(timeout=10)


@asynccontextmanager
async def replies_held_back(target: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Pass bytes on to a port; yield the port to use, and the event without which no reply comes back."""
    flowing = asyncio.Event()
    flowing.set()
    always = asyncio.Event()
    always.set()
    ways: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while data := await reader.read(65_536):
                await gate.wait()
                writer.write(data)
        finally:
            writer.transport.abort()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        ways.add(asyncio.create_task(pump(reader, far_writer, always)))
        ways.add(asyncio.create_task(pump(far_reader, writer, flowing)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], flowing
    finally:
        listener.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def group_token(broker: Broker, group: str = "h") -> Token:
    """Make a group, take its role and read it to the end."""
    await broker.ensure_group(0, group)
    token = await broker.take(0, group)
    while await broker.read(0, group, "c", token, count=1000):
        pass
    return token


async def append_one(broker: Broker, partition: int) -> None:
    """Append an entry, as whoever takes the role now."""
    await broker.append(partition, await broker.take(partition, "relay"), [{"payload": "1"}])


async def append_for_ever(broker: Broker, token: Token, batch: list[dict[str, str]]) -> None:
    """Append until that fails."""
    while True:
        await broker.append(0, token, batch)


async def test_a_late_reply_is_never_a_second_append(broker: Broker, server: ValkeyServer) -> None:
    """When the reply doesn't come in time the outcome is unknown, and the batch is there once at most."""
    token = await broker.take(0, "relay")

    with frozen(server), pytest.raises(BrokerUnavailableError):
        await broker.append(0, token, [{"payload": "1"}, {"payload": "2"}])
    await broker.append(0, token, [{"payload": "3"}])

    assert (await broker.state(0)).length in {1, 3}


async def test_a_reply_that_is_stalled_on_its_way(
    server: ValkeyServer, server_settings: RedisSettings, open_broker: Open
) -> None:
    """When the append has happened and its reply is held back, the batch is there once, and never again."""
    async with replies_held_back(server.port) as (port, flowing):
        broker = open_broker(replace(server_settings, url=server_settings.url.replace(port=port)))
        token = await broker.take(0, "relay")
        await broker.append(0, token, [{"payload": "0"}])  # the server knows the script now
        flowing.clear()
        with pytest.raises(BrokerUnavailableError):
            await broker.append(0, token, [{"payload": "1"}, {"payload": "2"}])
        flowing.set()
        layout, state = await asyncio.gather(broker.layout(), broker.state(0))

    assert (None, 3) == (layout, state.length)


async def test_late_replies_are_not_taken_for_others(broker: Broker, server: ValkeyServer) -> None:
    """After appends were given up half-way, every command gets its own reply."""
    token = await broker.take(0, "relay")
    await group_token(broker)
    with frozen(server):
        giving_up = [asyncio.create_task(broker.append(0, token, [{"payload": "1"}])) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in giving_up:
            task.cancel()
        await asyncio.gather(*giving_up, return_exceptions=True)

    tokens = await asyncio.gather(*(broker.take(number, "relay") for number in range(1, 9)))
    layouts = await asyncio.gather(*(broker.layout() for _ in range(8)))

    assert ["1"] * 8 == [token.partition(":")[0] for token in tokens]
    assert [None] * 8 == layouts


async def test_a_killed_server_returns_with_everything(broker: Broker, server: ValkeyServer) -> None:
    """After kill -9 and a restart, what was confirmed is there, and roles and groups hold."""
    relay = await broker.take(0, "relay")
    reader = await group_token(broker)
    await broker.append(0, relay, [{"payload": str(number)} for number in range(100)])

    kill(server)
    with pytest.raises(BrokerUnavailableError):
        await broker.append(0, relay, [{"payload": "away"}])
    server.start()
    await broker.append(0, relay, [{"payload": "back"}])

    read = await broker.read(0, "h", "c", reader, count=1000)
    assert [*map(str, range(100)), "back"] == [entry.fields["payload"] for entry in read if entry.fields]


async def test_cut_connections_are_replaced(broker: Broker, server: ValkeyServer) -> None:
    """A pool full of connections that the server has closed costs no error."""
    relay = await broker.take(0, "relay")
    await asyncio.gather(*(broker.state(number) for number in range(8)))

    command(server, "CLIENT", "KILL", "TYPE", "normal")
    await asyncio.sleep(0.05)  # for the news of it to arrive
    await broker.append(0, relay, [{"payload": "1"}])
    states = await asyncio.gather(*(broker.state(0) for _ in range(8)))

    assert [1] * 8 == [state.length for state in states]


@pytest.mark.parametrize("hurt", ["kill", "cut"])
async def test_who_waits_learns_of_the_end(broker: Broker, server: ValkeyServer, hurt: str) -> None:
    """Who waits when the server goes is told so, and can wait again when it is back."""
    relay = await broker.take(0, "relay")
    await group_token(broker)
    waiting = asyncio.create_task(broker.wait(0, "h", seconds=LONG_SECONDS))
    await asyncio.sleep(0.1)

    if hurt == "kill":
        kill(server)
        server.start()
    else:
        command(server, "CLIENT", "KILL", "TYPE", "normal")
    async with asyncio.timeout(LONG_SECONDS / 2):
        with pytest.raises(BrokerUnavailableError):
            await waiting
        again = asyncio.create_task(broker.wait(0, "h", seconds=LONG_SECONDS))
        await asyncio.sleep(0.05)
        await broker.append(0, relay, [{"payload": "1"}])
        await again


async def test_a_frozen_server_ends_the_wait(broker: Broker, server: ValkeyServer) -> None:
    """Who waits on a server that has frozen is told so after the time that the settings give it."""
    await group_token(broker)

    with frozen(server), pytest.raises(BrokerUnavailableError):
        async with asyncio.timeout(LONG_SECONDS / 2):
            await broker.wait(0, "h", seconds=LONG_SECONDS)


async def test_idle_waiting_is_no_failure(broker: Broker, server_settings: RedisSettings) -> None:
    """Waiting longer than a reply may take is waiting, and no lost reply."""
    await group_token(broker)

    async with asyncio.timeout(LONG_SECONDS):
        await broker.wait(0, "h", seconds=server_settings.timeout_seconds * 3)


async def test_handlers_share_a_connection_for_waiting(broker: Broker, server: ValkeyServer) -> None:
    """Twenty groups that wait for a partition have one connection for that."""
    groups = [f"h{number}" for number in range(20)]
    for group in groups:
        await group_token(broker, group)
    waiting = [asyncio.create_task(broker.wait(0, group, seconds=LONG_SECONDS)) for group in groups]
    await asyncio.sleep(0.1)

    clients = command(server, "CLIENT", "LIST")
    for task in waiting:
        task.cancel()

    assert isinstance(clients, bytes)
    assert 1 == clients.count(b"cmd=xread ")


async def test_a_full_server_takes_all_or_nothing(broker: Broker, server: ValkeyServer) -> None:
    """A batch that finds no room is not there in part; reading and trimming make room again."""
    relay = await broker.take(0, "relay")
    reader = await group_token(broker)
    command(server, "CONFIG", "SET", "maxmemory", "8mb")
    batch = [{"payload": "x" * 1000}] * 50

    with pytest.raises(BrokerFullError, match="no room"):
        await append_for_ever(broker, relay, batch)
    length = (await broker.state(0)).length
    share = await broker.memory_share()
    while read := await broker.read(0, "h", "c", reader, count=1000):
        await broker.acknowledge(0, "h", [entry.id for entry in read])
    trimmed = await broker.trim(0)
    await broker.append(0, relay, batch)

    assert (0, length) == (length % 50, trimmed)
    assert share is not None
    assert 0.5 < share < 1.5


async def test_a_replica_is_unavailable_until_promoted(
    broker: Broker, server: ValkeyServer, server_settings: RedisSettings
) -> None:
    """A server that takes no writes is one to come back to, and to leave the connections of."""
    relay = await broker.take(0, "relay")
    command(server, "REPLICAOF", "127.0.0.1", str(ports.any_free()))

    with pytest.raises(BrokerUnavailableError, match="read only"):
        await broker.append(0, relay, [{"payload": "1"}])
    command(server, "REPLICAOF", "NO", "ONE")

    await broker.append(0, relay, [{"payload": "1"}])


async def test_forgotten_scripts_are_sent_again(broker: Broker, server: ValkeyServer) -> None:
    """A server that has forgotten the scripts gets them again, and runs each once."""
    relay = await broker.take(0, "relay")
    await broker.append(0, relay, [{"payload": "1"}])

    command(server, "SCRIPT", "FLUSH")
    await broker.append(0, relay, [{"payload": "2"}])

    assert 2 == (await broker.state(0)).length


async def test_a_small_pool_serves_everybody_in_turn(
    server_settings: RedisSettings, open_broker: Open
) -> None:
    """More commands at once than the pool has connections wait for each other, and none fails."""
    broker = open_broker(replace(server_settings, pool_size=1, timeout_seconds=5.0))

    tokens = await asyncio.gather(*(broker.take(0, "relay") for _ in range(50)))

    assert 50 == len(set(tokens))


async def test_many_partitions_are_waited_for(server_settings: RedisSettings, open_broker: Open) -> None:
    """Each partition has a connection to wait on, as many as there may be."""
    broker = open_broker(replace(server_settings, timeout_seconds=5.0))
    for partition in range(120):
        await broker.ensure_group(partition, "h")
        await broker.read(partition, "h", "c", await broker.take(partition, "h"), count=1)
    waiting = [asyncio.create_task(broker.wait(number, "h", seconds=LONG_SECONDS)) for number in range(120)]
    await asyncio.sleep(0.2)

    await asyncio.gather(*(append_one(broker, partition) for partition in range(120)))
    async with asyncio.timeout(LONG_SECONDS / 2):
        outcomes = await asyncio.gather(*waiting)

    assert [None] * 120 == outcomes


async def test_nobody_there_is_unavailable(open_broker: Open) -> None:
    """A server that isn't there is named, with no password."""
    port = ports.any_free()
    broker = open_broker(RedisSettings(url=ServiceUrl.parse(f"redis://u:hush@127.0.0.1:{port}")))

    with pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port}") as caught:
        await broker.take(0, "relay")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("password", [None, Secret("wrong-one")])
async def test_wrong_credentials_are_refused(
    server_settings: RedisSettings, open_broker: Open, password: Secret | None
) -> None:
    """A missing or wrong password is to be corrected, not tried again, and not shown."""
    broker = open_broker(RedisSettings(url=server_settings.url.replace(password=password)))

    with pytest.raises(BrokerRefusedError, match="the password in REDIS_URL") as caught:
        await broker.take(0, "relay")

    assert "wrong-one" not in str(caught.value)


async def test_missing_rights_are_refused(
    server: ValkeyServer, server_settings: RedisSettings, open_broker: Open
) -> None:
    """A user without the rights is told which ones are needed."""
    command(server, "ACL", "SETUSER", "poor", "on", ">pw", "~other:*", "+@all")
    url = server_settings.url.replace(username="poor", password=Secret("pw"))

    with pytest.raises(BrokerRefusedError, match=r"Give the user of REDIS_URL the keys sherpa:events:\*"):
        await open_broker(RedisSettings(url=url)).take(0, "relay")


async def test_just_enough_rights_are_enough(
    server: ValkeyServer, server_settings: RedisSettings, open_broker: Open
) -> None:
    """A user with rights to our keys and to the commands that the errors name can do everything."""
    command(server, "ACL", "SETUSER", "lean", "on", ">pw", *RIGHTS.split())
    url = server_settings.url.replace(username="lean", password=Secret("pw"))
    broker = open_broker(RedisSettings(url=url))

    relay = await broker.take(0, "relay")
    await broker.append(0, relay, [{"payload": "1"}])
    reader = await group_token(broker)

    assert 1 == len(await broker.claim(0, "h", "c", reader, count=1))
    assert (0, 0, [0]) == (
        await broker.reap(0, "h", keep="c"),
        await broker.trim(0),
        await broker.partitions(),
    )
    assert 1 == (await broker.state(0)).length
    assert [] == await broker.weaknesses()


async def test_a_key_of_somebody_else_is_refused(broker: Broker, server: ValkeyServer) -> None:
    """Where our key holds another kind of value, that is said, and the value is left alone."""
    command(server, "SET", "sherpa:events:0", "mine")
    relay = await broker.take(0, "relay")

    with pytest.raises(BrokerRefusedError, match="Something else uses our keys"):
        await broker.append(0, relay, [{"payload": "1"}])

    assert b"mine" == command(server, "GET", "sherpa:events:0")


async def test_a_flushed_group_is_made_again_at_the_beginning(broker: Broker, server: ValkeyServer) -> None:
    """After FLUSHALL the reader learns it, and the group that it makes again gets all that came since."""
    reader = await group_token(broker)
    command(server, "FLUSHALL")
    await broker.append(0, await broker.take(0, "relay"), [{"payload": "1"}])

    with pytest.raises(NoGroupError):
        await broker.read(0, "h", "c", await broker.take(0, "h"), count=1)
    await broker.ensure_group(0, "h")
    reader = await broker.take(0, "h")

    assert 1 == len(await broker.read(0, "h", "c", reader, count=10))
