"""What a handler's lines and numbers tell: for which event it was, how often, how long."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from packages.events.tests.handling.conftest import Counted, Stage, entry, record, record_set
from sherpa.config import RedisSettings
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.connect import connect
from sherpa.events.event import Received
from sherpa.events.handling.handler import Kind
from sherpa.telemetry import context

SAID: list[dict[str, object]] = []
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def say(transaction: Transaction, event: Received[Counted]) -> None:
    """Keep what every line that is logged here carries."""
    SAID.append(dict(context.current()))


async def say_set(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    """Do so for many."""
    await say(transaction, events[0])


@pytest.fixture(autouse=True)
def _nothing_said() -> Iterator[None]:
    SAID.clear()
    yield
    assert not context.current()


@pytest.mark.parametrize(("kind", "handle"), [(Kind.EACH, say), (Kind.BATCH, say), (Kind.SET, say_set)])
async def test_lines_name_the_event(stage: Stage, kind: Kind, handle: Any) -> None:
    """Whatever is logged in a handler carries event, type, handler, correlation and trace context."""
    correlation = str(uuid4())
    event = entry(1, correlation_id=correlation, traceparent=TRACE, tracestate="vendor=1")
    await stage.append(event)

    await stage.drain(stage.consumer(kind=kind, handle=handle, concurrency=4))

    assert [
        {
            "handler": "counter",
            "event_id": event["id"],
            "event_type": "thing.counted",
            "correlation_id": correlation,
            "traceparent": TRACE,
            "tracestate": "vendor=1",
        }
    ] == SAID


async def test_lines_of_a_set_name_its_ends(stage: Stage) -> None:
    """What is logged for many events at once says how many, and which they begin and end with."""
    first, last = entry(1), entry(3)
    await stage.append(first, entry(2), last)

    await stage.drain(stage.consumer(kind=Kind.SET, handle=say_set, concurrency=4))

    assert [
        {"handler": "counter", "events": 3, "first_event_id": first["id"], "last_event_id": last["id"]}
    ] == SAID


async def test_what_happens_is_counted(stage: Stage) -> None:
    """Handled, duplicates, retries and calls are there for Prometheus."""
    fail = iter([True])

    async def fail_once(transaction: Transaction, event: Received[Counted]) -> None:
        await record(transaction, event)
        if next(fail, False):
            raise ValueError("once")

    event = entry(1)
    await stage.append(event, entry(2))
    consumer = stage.consumer(handle=fail_once, concurrency=1)
    await stage.drain(consumer)
    await stage.append(event)
    await stage.drain(consumer)

    names = ("handled_total", "duplicates_total", "retries_total", "handling_seconds_count")
    sample = stage.metrics.registry.get_sample_value
    assert [2, 1, 1, 3] == [sample(f"sherpa_events_{name}", {"handler": "counter"}) for name in names]


@pytest.mark.parametrize(("kind", "handle"), [(Kind.BATCH, record), (Kind.SET, record_set)])
async def test_events_of_a_batch_are_counted(
    stage: Stage, kind: Kind, handle: Callable[..., Awaitable[None]]
) -> None:
    """Each event of a batch counts, as handled or as a duplicate."""
    event = entry(1)
    consumer = stage.consumer(kind=kind, handle=handle)
    await stage.append(event, entry(2))
    await stage.drain(consumer)
    await stage.append(event, entry(3))

    await stage.drain(consumer)

    sample = stage.metrics.registry.get_sample_value
    assert [3, 1] == [
        sample(f"sherpa_events_{name}", {"handler": "counter"})
        for name in ("handled_total", "duplicates_total")
    ]


async def test_lost_entry_is_counted_and_not_waited_for(stage: Stage, redis_settings: RedisSettings) -> None:
    """An entry that somebody deleted while it was pending is told of; the next ones are handled."""
    stage.broker = connect(redis_settings)
    await stage.append(entry(1), entry(2))
    await stage.broker.ensure_group(0, "counter")
    token = await stage.broker.take(0, "counter")
    lost, *_ = await stage.broker.read(0, "counter", "dead", token, count=2)
    async with Redis.from_url(redis_settings.url.reveal()) as redis:
        await redis.xdel("sherpa:events:0", lost.id)

    await stage.drain(stage.consumer())

    lost_entries = stage.metrics.registry.get_sample_value("sherpa_events_lost_total", {"handler": "counter"})
    assert (1, [2], 0) == (lost_entries, await stage.effects(), await stage.pending())
    await stage.consumers[0].leave()
    await stage.broker.close()
