"""Sign-in through Zitadel: who issues tokens and for whom."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.kinds import https_url, seconds, text


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Sign-in through Zitadel."""

    authority: str = field(
        metadata=variable(
            "ZITADEL_AUTHORITY", https_url(), "The issuer of our tokens, as it stands in their `iss`."
        )
    )
    client_id: str = field(
        metadata=variable("ZITADEL_CLIENT_ID", text("the client ID from Zitadel's console"), "The API there.")
    )
    audience: str = field(
        metadata=variable(
            "ZITADEL_AUDIENCE", text("the project or client ID that tokens are for"), "The `aud` we accept."
        )
    )
    jwks_cache_seconds: float = field(
        default=3600.0,
        metadata=variable("ZITADEL_JWKS_CACHE_SECONDS", seconds(), "How long the issuer's keys are kept."),
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
