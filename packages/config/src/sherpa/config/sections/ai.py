"""The AI providers: their keys, which answers first and which steps in."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.choices import Provider
from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import choice, integer, seconds, service_key
from sherpa.config.secret import Secret


def _primary_has_key(
    primary_provider: Provider, openai_api_key: Secret | None, anthropic_api_key: Secret | None
) -> Problem | None:
    keys = {Provider.OPENAI: openai_api_key, Provider.ANTHROPIC: anthropic_api_key}
    return None if keys[primary_provider] else _key_missing("AI_PRIMARY_PROVIDER", primary_provider)


def _fallback_has_key(
    fallback_provider: Provider | None, openai_api_key: Secret | None, anthropic_api_key: Secret | None
) -> Problem | None:
    keys = {Provider.OPENAI: openai_api_key, Provider.ANTHROPIC: anthropic_api_key}
    if fallback_provider is None or keys[fallback_provider]:
        return None
    return _key_missing("AI_FALLBACK_PROVIDER", fallback_provider)


def _key_missing(named_by: str, provider: Provider) -> Problem:
    return Problem(
        f"{provider.upper()}_API_KEY",
        f"is not set, but {named_by} is {provider}",
        f"{provider}'s key, or another {named_by}",
    )


def _two_providers(primary_provider: Provider, fallback_provider: Provider | None) -> Problem | None:
    if fallback_provider is not primary_provider:
        return None
    return Problem(
        "AI_FALLBACK_PROVIDER", "is the same as AI_PRIMARY_PROVIDER", "the other provider, or nothing"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AiSettings:
    """The AI providers."""

    openai_api_key: Secret | None = field(
        default=None, metadata=variable("OPENAI_API_KEY", service_key(), "Needed when openai is a provider.")
    )
    anthropic_api_key: Secret | None = field(
        default=None,
        metadata=variable(
            "ANTHROPIC_API_KEY", service_key("sk-ant-"), "Needed when anthropic is a provider."
        ),
    )
    primary_provider: Provider = field(
        default=Provider.ANTHROPIC,
        metadata=variable("AI_PRIMARY_PROVIDER", choice(Provider), "Who is asked first."),
    )
    fallback_provider: Provider | None = field(
        default=None,
        metadata=variable("AI_FALLBACK_PROVIDER", choice(Provider), "Who is asked when the first fails."),
    )
    timeout_seconds: float = field(
        default=120.0, metadata=variable("AI_TIMEOUT_SECONDS", seconds(), "How long one answer may take.")
    )
    max_retries: int = field(
        default=3,
        metadata=variable("AI_MAX_RETRIES", integer(0, 100), "How often a failed call is tried again."),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_primary_has_key, _fallback_has_key, _two_providers)
