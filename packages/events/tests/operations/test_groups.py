"""Groups: listed with how far they are, and forgotten when their handler has been removed, never before."""

import json

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Append, Fail, Run
from sherpa.events import locks
from sherpa.events.brokers.broker import Broker
from sherpa.events.handling.names import lock_name
from sherpa.events.operations import groups


async def test_groups_are_listed(run: Run, append: Append, broker: Broker) -> None:
    """Each group with its lag and what it has in hand; without any, a line says so."""
    _, empty, _ = await run("groups", "list")
    await append(3)
    await broker.ensure_group(0, "welcome")
    token = await broker.take(0, "welcome")
    await broker.read(0, "welcome", "c", token, count=1)

    code, out, _ = await run("groups", "list", "--json")

    (group,) = json.loads(out)
    assert "There are no groups.\n" == empty
    assert (0, "welcome", 2, 1) == (code, group["name"], group["lag"], group["pending"])


async def test_forgotten_group_is_gone(run: Run, append: Append, broker: Broker) -> None:
    """A forgotten group is deleted in every partition; others stay."""
    for partition in (0, 1):
        await append(1, partition=partition)
        await broker.ensure_group(partition, "removed")
    await broker.ensure_group(0, "welcome")

    code, out, _ = await run("groups", "forget", "removed", "--yes")

    assert 0 == code
    assert "Forgotten: removed in 2 partitions, and 0 events that it failed on.\n" == out
    assert ["welcome"] == [group.name for group in (await broker.state(0)).groups]


async def test_what_it_failed_on_is_forgotten(run: Run, fail: Fail, connection: asyncpg.Connection) -> None:
    """Failed events go too, also those that nobody can decide on, and where the group is lost with Redis."""
    for status in ("retrying", "waiting", "dead"):
        await fail("removed", status=status)
    kept = await fail("welcome")

    code, out, _ = await run("groups", "forget", "removed", "--yes")

    assert (0, "Forgotten: removed in 0 partitions, and 3 events that it failed on.\n") == (code, out)
    assert [kept] == [row[0] for row in await connection.fetch("SELECT event_id FROM failed_events")]


@pytest.mark.parametrize("partition", [0, 255])
async def test_working_handler_is_not_forgotten(
    run: Run, append: Append, broker: Broker, connection: asyncpg.Connection, partition: int
) -> None:
    """A handler that a worker runs keeps its group: the answer names the session that runs it."""
    await append(1)
    await broker.ensure_group(0, "welcome")
    await locks.take(connection, lock_name("welcome", partition), shared=True)

    code, _, err = await run("groups", "forget", "welcome", "--yes")

    assert 1 == code
    assert f"in partition {partition} by" in err
    assert f"(backend {connection.get_server_pid()})" in err
    assert ["welcome"] == [group.name for group in (await broker.state(0)).groups]


async def test_group_that_is_read_for_is_not_forgotten(
    run: Run, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis sees who reads without our locks, as in another language; once silent, it is no hindrance."""
    for partition in (0, 1):
        await broker.ensure_group(partition, "foreign")
    token = await broker.take(1, "foreign")
    await broker.read(1, "foreign", "java-7", token, count=1)

    refused = await run("groups", "forget", "foreign", "--yes")
    kept = [[group.name for group in (await broker.state(number)).groups] for number in (0, 1)]
    monkeypatch.setattr(groups, "_ACTIVE_SECONDS", 0.0)
    code, *_ = await run("groups", "forget", "foreign", "--yes")

    assert 1 == refused[0]
    assert "partition 1" in refused[2]
    assert "java-7: stop" in refused[2]
    assert ([["foreign"], ["foreign"]], 0) == (kept, code)


async def test_unknown_group_is_refused(run: Run) -> None:
    """A name that no stream knows is a failure that says where the names are."""
    code, _, err = await run("groups", "forget", "nobody", "--yes")

    assert 1 == code
    assert "`groups list`" in err


async def test_forgetting_asks(run: Run) -> None:
    """Without a terminal, and without --yes, nothing is forgotten."""
    code, _, err = await run("groups", "forget", "welcome")

    assert 2 == code
    assert "add --yes" in err
