"""Events: how the outbox is relayed to the broker, and how long what protects against repeats is kept."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import integer, seconds, share

# A batch is held in memory as a whole: 10,000 events of 1 MiB would be 10 GB.
LARGEST_PAYLOAD_BYTES = 1_048_576
MOST_PARTITIONS = 256
_MOST_DAYS = 3650


def _replay_within_the_outbox(replay_days: int, outbox_retention_days: int) -> Problem | None:
    if replay_days <= outbox_retention_days:
        return None
    return Problem(
        "EVENTS_REPLAY_DAYS",
        f"{replay_days} is more than EVENTS_OUTBOX_RETENTION_DAYS, {outbox_retention_days}: "
        "what has been deleted can't be published again",
        f"{outbox_retention_days} or less, or a longer EVENTS_OUTBOX_RETENTION_DAYS",
    )


def _dedupe_outlives_a_replay(dedupe_retention_days: int, replay_days: int) -> Problem | None:
    # How long retries go on is known where the handlers are: the worker checks that at its start.
    if dedupe_retention_days > replay_days:
        return None
    return Problem(
        "EVENTS_DEDUPE_RETENTION_DAYS",
        f"{dedupe_retention_days} is not more than EVENTS_REPLAY_DAYS, {replay_days}: "
        "an event published again could take effect twice",
        f"{replay_days + 1} or more, or a lower EVENTS_REPLAY_DAYS",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSettings:
    """Events: the outbox, the relay and the streams."""

    partitions: int = field(
        default=1,
        metadata=variable(
            "EVENTS_PARTITIONS",
            integer(1, MOST_PARTITIONS),
            "Streams that aggregates are spread over, each with a relay; the same for every process.",
        ),
    )
    batch_size: int = field(
        default=500,
        metadata=variable("EVENTS_BATCH_SIZE", integer(1, 10_000), "Events that the relay moves at a time."),
    )
    poll_seconds: float = field(
        default=1.0,
        metadata=variable(
            "EVENTS_POLL_SECONDS", seconds(), "How often the relay looks when nothing has woken it."
        ),
    )
    payload_bytes: int = field(
        default=65_536,
        metadata=variable(
            "EVENTS_PAYLOAD_BYTES",
            integer(1, LARGEST_PAYLOAD_BYTES),
            "The largest payload that can be published, in bytes of JSON.",
        ),
    )
    stream_max_length: int = field(
        default=200_000,
        metadata=variable(
            "EVENTS_STREAM_MAX_LENGTH",
            integer(1, 100_000_000),
            "Entries in a stream at which the relay pauses; PostgreSQL holds the backlog.",
        ),
    )
    memory_share: float = field(
        default=0.85,
        metadata=variable(
            "EVENTS_MEMORY_SHARE", share(), "The part of Redis's maxmemory at which the relay pauses."
        ),
    )
    outbox_retention_days: int = field(
        default=7,
        metadata=variable(
            "EVENTS_OUTBOX_RETENTION_DAYS",
            integer(1, _MOST_DAYS),
            "How long published events stay in the outbox.",
        ),
    )
    dedupe_retention_days: int = field(
        default=30,
        metadata=variable(
            "EVENTS_DEDUPE_RETENTION_DAYS",
            integer(1, _MOST_DAYS),
            "How long it is remembered that a handler has done an event.",
        ),
    )
    replay_days: int = field(
        default=7,
        metadata=variable(
            "EVENTS_REPLAY_DAYS", integer(1, _MOST_DAYS), "How far back events may be published again."
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_replay_within_the_outbox, _dedupe_outlives_a_replay)
