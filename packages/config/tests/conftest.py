"""What the tests of the settings share: a clean environment, and the smallest sound configurations."""

from pathlib import Path

import pytest

from sherpa.config.declaration import variables_of
from sherpa.config.sections import SECTIONS

DATABASE = "postgresql://sherpa:wonderland@db.internal:5432/choice_sherpa"
REDIS = "redis://cache.internal:6379/0"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start every test in an empty directory and without any variable of ours."""
    monkeypatch.chdir(tmp_path)
    for section in SECTIONS.values():
        for variable in variables_of(section):
            monkeypatch.delenv(variable.name, raising=False)
            monkeypatch.delenv(f"{variable.name}_FILE", raising=False)


@pytest.fixture
def everything() -> dict[str, str]:
    """All that production requires, and nothing more."""
    return {
        "ENVIRONMENT": "production",
        "DATABASE_URL": DATABASE,
        "DATABASE_SSL_MODE": "verify-full",
        "REDIS_URL": "rediss://cache.internal:6379/0",
        "ZITADEL_AUTHORITY": "https://auth.choice.test",
        "ZITADEL_CLIENT_ID": "2831",
        "ZITADEL_AUDIENCE": "2832",
        "ANTHROPIC_API_KEY": "sk-ant-api03-Kd8",
        "STRIPE_API_KEY": "sk_live_51Mo",
        "STRIPE_WEBHOOK_SECRET": "whsec_9fK2",
        "STRIPE_MONTHLY_PRICE_ID": "price_1Mo",
        "STRIPE_ANNUAL_PRICE_ID": "price_2Mo",
        "RESEND_API_KEY": "re_8sQx",
        "EMAIL_FROM": "hello@choice.test",
    }
