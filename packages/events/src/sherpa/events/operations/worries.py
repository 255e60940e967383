"""What an operator should see to: each a sentence that says what is wrong and what to do. None is good."""

from collections.abc import Iterator, Sequence
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.operations.overview import HandlerState, Overview, Partition

OLD_SECONDS: Final = 60.0
"""An event that waits longer than this to be published is a reason to look."""


def worries(seen: Overview, events: EventsSettings) -> Sequence[str]:
    """Return them, the gravest first."""
    return [
        *_of_the_broker(seen, events),
        *_of_the_division(seen, events),
        *(each for partition in seen.partitions for each in _of_a_partition(partition, seen, events)),
        *_of_the_outbox(seen),
        *(each for handler in seen.handlers for each in _of_a_handler(handler)),
        *seen.broker.weaknesses,
    ]


def _of_the_broker(seen: Overview, events: EventsSettings) -> Iterator[str]:
    if seen.broker.error:
        yield seen.broker.error
    if (seen.broker.memory_share or 0) >= events.memory_share:
        yield (
            f"The broker uses {seen.broker.memory_share:.0%} of its memory, so the relay pauses: let handlers"
            " catch up, or give it more."
        )


def _of_a_partition(partition: Partition, seen: Overview, events: EventsSettings) -> Iterator[str]:
    # Relays of another division are no leaders here, but what is to be done about it is said already.
    if partition.number < events.partitions and partition.leader is None and not seen.other_layouts:
        yield f"Nobody relays partition {partition.number}: start a worker with WORKER_RELAY=true."
    if (partition.stream_length or 0) >= events.stream_max_length:
        yield (
            f"The stream of partition {partition.number} has {partition.stream_length:,} entries, so the"
            " relay pauses: see which handler lags."
        )


def _of_the_division(seen: Overview, events: EventsSettings) -> Iterator[str]:
    for other in seen.other_layouts:
        yield (
            f"A relay runs with EVENTS_PARTITIONS={other}, here it is {events.partitions}: the one that came"
            " later waits. Give all processes the same number."
        )
    if seen.broker.layout not in {None, events.partitions}:
        yield (
            f"The streams are still divided by {seen.broker.layout}, here EVENTS_PARTITIONS is"
            f" {events.partitions}: nothing is published until every group has drained them."
        )


def _of_the_outbox(seen: Overview) -> Iterator[str]:
    if seen.oldest_pending_seconds >= OLD_SECONDS:
        yield f"An event has waited {seen.oldest_pending_seconds:,.0f} s to be published."


def _of_a_handler(handler: HandlerState) -> Iterator[str]:
    if handler.dead:
        yield (
            f"{handler.name} has dead letters ({handler.dead}; {handler.waiting} events wait behind them):"
            f" `dead-letters list --handler {handler.name}`."
        )
    if alone := [group.partition for group in handler.groups if group.owner is None]:
        numbers = ", ".join(map(str, alone))
        yield (
            f"Nobody runs {handler.name} in partition {numbers}: start a worker that has it, or, if the"
            f" handler was removed, `groups forget {handler.name}`: no stream is trimmed before."
        )
