"""The settings that the API process needs, and no others."""

from dataclasses import dataclass

from sherpa.config import DatabaseSettings, FeatureSettings, LoggingSettings, RedisSettings, ServerSettings


@dataclass(frozen=True)
class ApiSettings:
    """What `sherpa.config.load(ApiSettings)` reads for this process."""

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    logging: LoggingSettings
    features: FeatureSettings
