"""The settings that the worker process needs, and no others."""

from dataclasses import dataclass

from sherpa.config import (
    DatabaseSettings,
    EmailSettings,
    EventsSettings,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    WorkerSettings,
)


@dataclass(frozen=True)
class ProcessSettings:
    """What `sherpa.config.load(ProcessSettings)` reads here; of `server` only the environment is used."""

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    events: EventsSettings
    worker: WorkerSettings
    email: EmailSettings | None
    logging: LoggingSettings
