"""The variables that take one of a few words: each enum's values are exactly what may be written."""

from enum import StrEnum


class Environment(StrEnum):
    """Where the process runs: production is held to stricter rules."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class SslMode(StrEnum):
    """How a connection to PostgreSQL uses TLS; the words and their meaning are libpq's."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class RedisSslMode(StrEnum):
    """What Redis's URL must say: no TLS, by name; whatever it says; or TLS, the certificate verified."""

    DISABLE = "disable"
    PREFER = "prefer"
    VERIFY_FULL = "verify-full"


class RedisTopology(StrEnum):
    """How Redis's servers are arranged: one, a primary that Sentinels name, or slots spread over several."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class LogFormat(StrEnum):
    """How log lines are written: for eyes or for machines."""

    CONSOLE = "console"
    JSON = "json"


class Provider(StrEnum):
    """Who answers the AI calls."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
