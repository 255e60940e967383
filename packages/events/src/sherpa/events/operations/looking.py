"""Looks how everything stands: asks PostgreSQL and the broker for the facts of an overview."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from sherpa.config import EventsSettings
from sherpa.events.brokers.broker import Broker, PartitionState
from sherpa.events.errors import BrokerError
from sherpa.events.figures import MOST_COUNTED, Figures, read_figures
from sherpa.events.operations.overview import BrokerState, Group, HandlerState, Overview, Partition
from sherpa.events.operations.presence import leaders, other_layouts, owners
from sherpa.events.partitions import partition_of

RATE_SECONDS: Final = 10
"""Rates are those of so many last seconds, by the database's clock."""

_PENDING: Final = """
SELECT PARTITION AS partition, count(*)
FROM (SELECT aggregate_id FROM outbox WHERE processed_at IS NULL LIMIT $2) AS counted GROUP BY partition
""".replace("PARTITION", partition_of("aggregate_id", "$1"), 1)
_PUBLISHED: Final = """
SELECT count(*) FROM outbox WHERE processed_at >= clock_timestamp() - make_interval(secs => $1)
"""
_HANDLED: Final = """
SELECT name, (
    SELECT count(*) FROM processed_events
    WHERE handler_name = name AND processed_at >= clock_timestamp() - make_interval(secs => $2)
) AS handled
FROM unnest($1::text[]) AS name
"""


async def look(connection: asyncpg.Connection, broker: Broker, events: EventsSettings) -> Overview:
    """Look at PostgreSQL and at the broker; one that is away is told in `broker.error`."""
    state, streams = await _ask(broker)
    figures = await read_figures(connection)
    at: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return Overview(
        at=at,
        pending=figures.pending,
        oldest_pending_seconds=figures.oldest_pending_seconds,
        published_per_second=await connection.fetchval(_PUBLISHED, RATE_SECONDS) / RATE_SECONDS,
        dead_tuples=figures.dead_tuples,
        vacuumed_at=figures.vacuumed_at,
        broker=state,
        partitions=await _partitions(connection, streams, events.partitions),
        handlers=await _handlers(connection, streams, figures),
        other_layouts=await other_layouts(connection, events.partitions),
    )


async def _ask(broker: Broker) -> tuple[BrokerState, Mapping[int, PartitionState]]:
    try:
        streams = {number: await broker.state(number) for number in await broker.partitions()}
        state = BrokerState(
            memory_share=await broker.memory_share(),
            layout=await broker.layout(),
            weaknesses=await broker.weaknesses(),
        )
    except BrokerError as error:
        return BrokerState(error=str(error)), {}
    return state, streams


async def _partitions(
    connection: asyncpg.Connection, streams: Mapping[int, PartitionState], layout: int
) -> Sequence[Partition]:
    numbers = sorted({*range(layout), *streams})
    found = await leaders(connection, range(layout), layout)
    pending = {row[0]: row[1] for row in await connection.fetch(_PENDING, layout, MOST_COUNTED)}
    return [
        Partition(
            number,
            pending.get(number, 0),
            found.get(number),
            streams[number].length if number in streams else None,
            streams[number].memory_bytes if number in streams else None,
        )
        for number in numbers
    ]


async def _handlers(
    connection: asyncpg.Connection, streams: Mapping[int, PartitionState], figures: Figures
) -> Sequence[HandlerState]:
    seats = {(group.name, number): group for number, state in streams.items() for group in state.groups}
    names = sorted({name for name, _ in (*seats, *figures.failed)})
    held = await owners(connection, seats)
    handled = {row[0]: row[1] for row in await connection.fetch(_HANDLED, names, RATE_SECONDS)}
    return [
        HandlerState(
            name=name,
            groups=[
                Group(number, group.lag, group.pending, held.get((name, number)))
                for (owner, number), group in sorted(seats.items())
                if owner == name
            ],
            retrying=figures.failed.get((name, "retrying"), 0),
            waiting=figures.failed.get((name, "waiting"), 0),
            dead=figures.failed.get((name, "dead"), 0),
            handled_per_second=handled[name] / RATE_SECONDS,
        )
        for name in names
    ]
