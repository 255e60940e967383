"""The settings that the operators' commands read, and no more: no other secret has to be there."""

from dataclasses import dataclass

from sherpa.config import DatabaseSettings, EventsSettings, RedisSettings


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """For commands that need PostgreSQL alone."""

    database: DatabaseSettings
    events: EventsSettings


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """For commands that need Redis alone."""

    redis: RedisSettings
    events: EventsSettings


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """For commands that need both."""

    database: DatabaseSettings
    redis: RedisSettings
    events: EventsSettings
