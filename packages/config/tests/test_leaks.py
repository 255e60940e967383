"""No secret in an error: not in its text, its chain, or the variables that a traceback may print."""

import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherpa.config import (
    AiSettings,
    AuthSettings,
    ConfigError,
    DatabaseSettings,
    EmailSettings,
    PaymentSettings,
    RedisSettings,
    ServerSettings,
    load,
)

# Letters that stand together in no message and no name, so that finding them means a leak.
LETTERS = st.text("qwzj", min_size=12, max_size=20)
FORMS = {
    "DATABASE_URL": [
        "{}",
        "postgresql://u:{}@h",
        "postgresql://u:{}@h:x/d",
        "postgresql://u:{}/@h/d",
        "postgresql://u:{}℀@h/d",
        "postgresql://u:[{}@h/d",
        "postgresql://u:1?{}@h/d",
        "postgresql://{}/",
        "mysql://u:{}@h/d",
        "postgresql://u:p@h/d?password={}",
        "postgresql://:{}@h/d",
        "postgresql://u:{}-change-me@h/d",
        "postgresql://u:{}@h/d?sslmode=disable",
    ],
    "REDIS_URL": ["{}", "redis://:{}@h", "redis://:{}#@h", "redis://h/{}", "unix://{}", "redis://:{}@h?x=1"],
    "OPENAI_API_KEY": ["{} x", "sk-{}-xxx"],
    "ANTHROPIC_API_KEY": ["{}", "sk-ant-{} x", "sk-ant-{}-xxx"],
    "STRIPE_API_KEY": ["{}", "sk_{}\n{}", "sk_{}_xxx"],
    "STRIPE_WEBHOOK_SECRET": ["{}", "whsec_{} x", "whsec_{}...x"],
    "RESEND_API_KEY": ["{}", "re_{} x", "re_xxx_{}"],
}
PLACED = st.sampled_from([(name, form) for name, forms in FORMS.items() for form in forms])
# A key put into the wrong variable is as secret as in the right one.
STRAYED = st.sampled_from(
    [
        ("AI_PRIMARY_PROVIDER", "sk-ant-{}"),
        ("PORT", "sk_live_{}"),
        ("EMAIL_FROM", "re_{}"),
        ("STRIPE_MONTHLY_PRICE_ID", "whsec_{}\n"),
        ("ZITADEL_AUTHORITY", "postgresql://u:{}@h/d"),
        ("ZITADEL_AUTHORITY", "https://u:{}@h"),
        ("CORS_ORIGINS", "https://u:{}@h"),
        ("STRIPE_API_KEY_FILE", "sk_{}"),
        ("DATABASE_URL_FILE", "postgresql://u:{}@h/d"),
        ("DATABSE_URL", "postgresql://u:{}@h/d"),
    ]
)


@dataclass(frozen=True)
class Everything:
    """A process that needs every section with a secret."""

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    auth: AuthSettings
    ai: AiSettings
    payment: PaymentSettings
    email: EmailSettings


def shown(error: BaseException) -> Iterator[str]:
    """Yield all that a log or an error tracker would print of the error, but for the tests' own frames."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield "".join(traceback.format_exception(error))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield from (repr(value) for value in frame.f_locals.values() if frame.f_code.co_filename != __file__)
    for linked in (error.__cause__, error.__context__):
        yield from shown(linked) if linked else ()


@given(PLACED | STRAYED, LETTERS, st.sampled_from(["environment", "file", "dotenv"]))
def test_no_error_shows_a_secret(placed: tuple[str, str], letters: str, source: str) -> None:
    """Whatever is wrong with a secret, wherever it came from, the error is silent about its value."""
    name, text = placed[0], placed[1].replace("{}", letters)
    environ = {"ENVIRONMENT": "production"}
    dotenv = Path(".env")
    dotenv.write_text(f"{name}='{text}'" if source == "dotenv" else "")
    Path("secret").write_text(text)
    environ |= {"environment": {name: text}, "file": {f"{name}_FILE": "secret"}}.get(source, {})

    with pytest.raises(ConfigError) as caught:
        load(Everything, environ=environ, dotenv=dotenv)

    assert [] == [text for text in shown(caught.value) if letters in text]


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_a_fault(name: str) -> None:
    """The forms above do reach what they are meant for: each is refused."""
    for form in FORMS[name]:
        environ = {"ENVIRONMENT": "production", name: form.replace("{}", "qwzjqwzjqwzj")}

        with pytest.raises(ConfigError) as caught:
            load(Everything, environ=environ, dotenv=None)

        wrong = {fault.variable: fault.wrong for fault in caught.value.faults}
        assert (
            "is needed, but not set" != wrong.get(name, "is needed, but not set")
            or "DATABASE_SSL_MODE" in wrong
        )


def test_the_process_environment_is_in_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from `os.environ`, whose repr shows every value, the error's frames hold nothing of it."""
    monkeypatch.setenv("STRIPE_API_KEY", "wonderland")

    with pytest.raises(ConfigError) as caught:
        load(PaymentSettings)

    assert [] == [text for text in shown(caught.value) if "wonderland" in text]


def test_nothing_is_chained_to_it() -> None:
    """What a parser raised, and may quote, is not left on the error."""
    with pytest.raises(ConfigError) as caught:
        load(DatabaseSettings, environ={"DATABASE_URL": "postgresql://u:p@h℀/d"}, dotenv=None)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_crash_while_reading_shows_nothing(
    everything: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a rule of ours crashes, the frames that it passes on its way out are masked too."""

    def crash(environment: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(PaymentSettings, "rules", (crash,))
    for name, value in everything.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError) as caught:
        load(PaymentSettings)

    assert [] == [text for text in shown(caught.value) if "whsec_9fK2" in text]


def test_logs_of_a_reading_hold_no_secret(
    everything: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at the lowest level does any library that takes part write a value to the log."""
    Path(".env").write_text("RESEND_API_KEY=re_wonderland\n=broken wonderland\nSTRIPE_API_KEYS=wonderland\n")

    with caplog.at_level(logging.NOTSET), pytest.raises(ConfigError):
        load(Everything, environ=everything, dotenv=Path(".env"))

    assert "wonderland" not in caplog.text
