"""What wakes a relay: a notification at once, its own polling when nothing else does."""

from functools import partial

import asyncpg

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, running
from sherpa.devstack.harness.waiting import eventually

AN_HOUR = 3_600.0
IDLE_RELAY = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'sherpa-relay-0' AND datname = current_database() AND query = 'SELECT 1'
"""
END_RELAY = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE application_name = 'sherpa-relay-0' AND datname = current_database()
"""


async def has(stream: Stream, numbers: list[int]) -> bool:
    """Tell whether these events, and no others, are in the stream."""
    return await stream.numbers() == numbers


async def is_idle(connection: asyncpg.Connection) -> bool:
    """Tell whether the relay only shows that it lives, as it does when it has found nothing for a second."""
    return bool(await connection.fetchval(IDLE_RELAY))


async def test_notification_wakes(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A relay that would look by itself in an hour publishes what a notification tells of."""
    async with running(make_relay(poll_seconds=AN_HOUR)):
        await eventually(lambda: is_idle(connection))

        await writer.publish(1)

        await eventually(lambda: has(stream, [1]))


async def test_polling_alone_works(
    make_relay: MakeRelay, stream: Stream, connection: asyncpg.Connection
) -> None:
    """What no notification told of is published by the next look."""
    async with running(make_relay(poll_seconds=0.05)):
        for number in range(3):
            await connection.execute(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)"
                " VALUES ('test', gen_random_uuid(), 'test.counted', jsonb_build_object('number', $1::int))",
                number,
            )
            await eventually(partial(has, stream, list(range(number + 1))))


async def test_listening_is_resumed(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """After its session was ended, notifications wake the relay on another one."""
    async with running(make_relay(poll_seconds=AN_HOUR)):
        await eventually(lambda: is_idle(connection))
        await connection.fetch(END_RELAY)
        await eventually(lambda: is_idle(connection))

        await writer.publish(1)

        await eventually(lambda: has(stream, [1]))


async def test_event_before_the_start_is_found(make_relay: MakeRelay, writer: Writer, stream: Stream) -> None:
    """What was published while no relay was there is the first thing that a relay does."""
    await writer.publish(1, 2)

    async with running(make_relay(poll_seconds=AN_HOUR)):
        await eventually(lambda: has(stream, [1, 2]))
