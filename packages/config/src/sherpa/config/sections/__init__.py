"""The sections, by name: everything that can be configured. A process asks for those that it needs."""

from collections.abc import Mapping
from types import MappingProxyType

from sherpa.config.sections.ai import AiSettings
from sherpa.config.sections.auth import AuthSettings
from sherpa.config.sections.database import DatabaseSettings
from sherpa.config.sections.email import EmailSettings
from sherpa.config.sections.events import EventsSettings
from sherpa.config.sections.features import FeatureSettings
from sherpa.config.sections.logging import LoggingSettings
from sherpa.config.sections.payment import PaymentSettings
from sherpa.config.sections.redis import RedisSettings
from sherpa.config.sections.server import ServerSettings
from sherpa.config.sections.worker import WorkerSettings

SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "server": ServerSettings,
        "database": DatabaseSettings,
        "redis": RedisSettings,
        "events": EventsSettings,
        "worker": WorkerSettings,
        "auth": AuthSettings,
        "ai": AiSettings,
        "payment": PaymentSettings,
        "email": EmailSettings,
        "logging": LoggingSettings,
        "features": FeatureSettings,
    }
)

OPTIONAL = frozenset({"auth", "ai", "payment", "email"})
"""Those that nothing of this project needs in order to run: where no variable of one is set, it is absent."""
