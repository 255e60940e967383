"""Tail: what is published from now on, whole and in order, and nobody's progress is touched."""

import asyncio
import json
import signal
from uuid import UUID

import pytest

from packages.events.tests.operations.conftest import Append, Run, Start
from sherpa.config import RedisSettings, ServiceUrl
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.commands.tail import show
from sherpa.events.operations.tailing import Filter, Tail

AGGREGATE = UUID(int=7)


async def seen(tail: Tail) -> list[str]:
    """Take one step, and return the payloads."""
    return [event["payload"] async for event in tail.step()]


async def test_only_what_is_new_is_shown(append: Append, broker: Broker) -> None:
    """What was there before is passed over; what comes is shown once, in its order."""
    await append(2)
    tail = Tail(broker=broker, partitions=[0], wanted=Filter())
    await tail.begin()

    before = await seen(tail)
    await append(3)
    steps = [await seen(tail), await seen(tail)]

    assert [] == before
    assert [["0", "1", "2"], []] == steps


async def test_lost_stream_is_followed_on(append: Append, broker: Broker) -> None:
    """A stream that is not there yet is followed from its first entry."""
    tail = Tail(broker=broker, partitions=[0, 1], wanted=Filter())
    await tail.begin()

    await append(1, partition=1)

    assert ["0"] == await seen(tail)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Filter(), True),
        (Filter(types=frozenset({"membership.created"})), True),
        (Filter(types=frozenset({"payment.recorded"})), False),
        (Filter(aggregate_id=AGGREGATE), True),
        (Filter(aggregate_id=UUID(int=8)), False),
    ],
)
def test_filter(wanted: Filter, shown: bool) -> None:
    """Types and aggregate both have to fit."""
    fields = {"type": "membership.created", "aggregate_id": str(AGGREGATE)}

    assert shown == wanted.lets_through(fields)


async def test_command_follows_until_interrupted(start: Start, append: Append) -> None:
    """`tail --json` prints a line of JSON for each event; Ctrl-C ends it well, without a traceback."""
    command = start("tail", "--json")
    try:
        assert command.stdout
        assert command.stderr
        told = await asyncio.to_thread(command.stderr.readline)
        await append(2)
        lines = [json.loads(await asyncio.to_thread(command.stdout.readline)) for _ in range(2)]
        command.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(command.communicate, timeout=30)
    finally:
        command.kill()

    assert "Following; Ctrl-C ends it.\n" == told
    assert [("0", "0"), ("0", "1")] == [(line["partition"], line["payload"]) for line in lines]
    assert (0, "", "") == (command.returncode, out, err)


async def test_absence_is_told_once(
    broker: Broker, append: Append, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broker that goes away is named once, however long it takes; what came meanwhile is shown then."""
    tail = Tail(broker=broker, partitions=[0], wanted=Filter())
    await tail.begin()
    await append(1)

    tail.broker = connect(RedisSettings(url=ServiceUrl.parse("redis://127.0.0.1:1/0")))
    away = [await show(tail, was_away=was_away, as_json=True) for was_away in (False, True, True)]
    tail.broker = broker
    away.append(await show(tail, was_away=True, as_json=True))
    out, err = capsys.readouterr()

    assert [True, True, True, False] == away
    assert "0" == json.loads(out)["payload"]
    told, again = err.splitlines()
    assert told.startswith("The broker at 127.0.0.1:1 can't be used now")
    assert "Following again." == again


async def test_absent_broker_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that can't be reached at the start is a failure that names the place, not the password."""
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@127.0.0.1:1/0")

    code, out, err = await run("tail")

    assert (1, "") == (code, out)
    assert err.startswith("The broker at 127.0.0.1:1 can't be used now")
    assert err.endswith("Check that it runs there and can be reached from here.\n")
    assert "hidden" not in err
