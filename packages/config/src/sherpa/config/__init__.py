"""Typed settings from the environment: frozen sections, read once at a process's edge and passed down."""

from sherpa.config.choices import Environment, LogFormat, Provider, RedisSslMode, RedisTopology, SslMode
from sherpa.config.directives import LogDirectives
from sherpa.config.errors import ConfigError, Fault, InvalidValueError
from sherpa.config.loader import load
from sherpa.config.secret import Secret
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
from sherpa.config.url import ServiceUrl

__all__ = [
    "AiSettings",
    "AuthSettings",
    "ConfigError",
    "DatabaseSettings",
    "EmailSettings",
    "Environment",
    "EventsSettings",
    "Fault",
    "FeatureSettings",
    "InvalidValueError",
    "LogDirectives",
    "LogFormat",
    "LoggingSettings",
    "PaymentSettings",
    "Provider",
    "RedisSettings",
    "RedisSslMode",
    "RedisTopology",
    "Secret",
    "ServerSettings",
    "ServiceUrl",
    "SslMode",
    "WorkerSettings",
    "load",
]
