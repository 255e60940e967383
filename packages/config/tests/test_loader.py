"""`load`: a process gets the sections it asks for, complete and typed, or all faults at once."""

import logging
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest

from sherpa.config import (
    AiSettings,
    AuthSettings,
    ConfigError,
    DatabaseSettings,
    EmailSettings,
    Environment,
    FeatureSettings,
    LogFormat,
    LoggingSettings,
    PaymentSettings,
    Provider,
    RedisSettings,
    RedisSslMode,
    ServerSettings,
    SslMode,
    load,
)
from sherpa.config.declaration import variables_of
from sherpa.config.sections import SECTIONS

DATABASE = "postgresql://sherpa:wonderland@db.internal:5432/choice_sherpa"


@dataclass(frozen=True)
class Everything:
    """A process that needs all there is."""

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    auth: AuthSettings
    ai: AiSettings
    payment: PaymentSettings
    email: EmailSettings
    logging: LoggingSettings
    features: FeatureSettings


@dataclass(frozen=True)
class Migration:
    """The migration command."""

    database: DatabaseSettings
    logging: LoggingSettings


@dataclass(frozen=True)
class Mailing:
    """A process that can do without e-mail."""

    logging: LoggingSettings
    email: EmailSettings | None


def faults(wanted: type, environ: dict[str, str]) -> dict[str, str]:
    """Return what is wrong, by variable."""
    with pytest.raises(ConfigError) as caught:
        load(wanted, environ=environ, dotenv=None)
    return {fault.variable: fault.wrong for fault in caught.value.faults}


def test_a_sound_environment_loads_whole(everything: dict[str, str]) -> None:
    """All that production requires is enough for every section."""
    settings = load(Everything, environ=everything, dotenv=None)

    assert (Environment.PRODUCTION, SslMode.VERIFY_FULL, Provider.ANTHROPIC, "sk_live_51Mo") == (
        settings.server.environment,
        settings.database.ssl_mode,
        settings.ai.primary_provider,
        settings.payment.api_key.reveal(),
    )


def test_a_section_that_may_be_absent_is_none_where_nothing_is_set() -> None:
    """Of a field `Section | None`, nothing set is None, all is the section, and a part is a fault."""
    sound = {"RESEND_API_KEY": "re_8sQx", "EMAIL_FROM": "hello@choice.test"}

    absent = load(Mailing, environ={"LOG_LEVEL": "debug"}, dotenv=None).email
    present = load(Mailing, environ=sound, dotenv=None).email

    assert (None, "hello@choice.test") == (absent, present and present.from_address)
    assert {"EMAIL_FROM": "is needed, but not set"} == faults(Mailing, {"RESEND_API_KEY": "re_8sQx"})


def test_the_defaults_are_the_promised_ones(everything: dict[str, str]) -> None:
    """Where nothing is set, the documented defaults hold, as typed values."""
    del everything["ENVIRONMENT"], everything["DATABASE_SSL_MODE"]
    settings = load(Everything, environ=everything, dotenv=None)

    assert ServerSettings() == settings.server
    assert (Environment.DEVELOPMENT, "0.0.0.0", 8080, 30.0, ()) == (
        settings.server.environment,
        settings.server.host,
        settings.server.port,
        settings.server.request_timeout_seconds,
        settings.server.cors_origins,
    )
    assert (
        DatabaseSettings(
            url=settings.database.url,
            min_connections=5,
            max_connections=20,
            acquire_timeout_seconds=30.0,
            idle_timeout_seconds=600.0,
            max_lifetime_seconds=1800.0,
            ssl_mode=SslMode.PREFER,
            statement_cache_size=100,
        )
        == settings.database
    )
    assert (10, 5.0, RedisSslMode.PREFER) == (
        settings.redis.pool_size,
        settings.redis.timeout_seconds,
        settings.redis.ssl_mode,
    )
    assert (3600.0, 120.0, 3, None) == (
        settings.auth.jwks_cache_seconds,
        settings.ai.timeout_seconds,
        settings.ai.max_retries,
        settings.ai.fallback_provider,
    )
    assert (logging.INFO, LogFormat.CONSOLE) == (settings.logging.level.default, settings.logging.format)


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_defaults_could_be_set(section: type, everything: dict[str, str]) -> None:
    """A default that is set as a text comes out as what the field declares: nobody else checks defaults."""
    defaulted = [v for v in variables_of(section) if v.default_text and v.name not in everything]
    spelled = {variable.name: variable.default_text for variable in defaulted}

    settings: object = load(section, environ=everything | spelled, dotenv=None)

    assert [v.default for v in defaulted] == [getattr(settings, v.field) for v in defaulted]


def test_a_process_needs_only_its_sections() -> None:
    """The migration command needs no Stripe key, nor anything else that it does not ask for."""
    settings = load(Migration, environ={"DATABASE_URL": DATABASE, "STRIPE_API_KEY": "broken"}, dotenv=None)

    assert "choice_sherpa" == settings.database.url.database


def test_a_section_can_be_asked_for_alone() -> None:
    """`load(DatabaseSettings)` needs no class around it."""
    assert DATABASE == load(DatabaseSettings, environ={"DATABASE_URL": DATABASE}, dotenv=None).url.reveal()


def test_reads_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, `os.environ` and `./.env` are read."""
    Path(".env").write_text("PORT=9000\nHOST=localhost\n")
    monkeypatch.setenv("PORT", "9001")

    settings = load(ServerSettings)

    assert ("localhost", 9001) == (settings.host, settings.port)


def test_settings_are_frozen() -> None:
    """What was read once can't be changed."""
    settings = load(ServerSettings, environ={}, dotenv=None)

    for name in ("port", "anything"):
        with pytest.raises((FrozenInstanceError, TypeError)):
            setattr(settings, name, 1)


def test_every_fault_is_reported_at_once(everything: dict[str, str]) -> None:
    """Faults of environs, of our parsers, of rules, of files and missing values come in one error."""
    Path(".env").write_text("=nonsense\n")
    del everything["EMAIL_FROM"]
    broken = everything | {
        "PORT": "80x",
        "LOG_LEVEL": "loud",
        "DATABASE_URL": "mysql://u:p@h/d",
        "DATABASE_MIN_CONNECTIONS": "30",
        "STRIPE_API_KEY": "pk_live_1",
        "RESEND_API_KEY": "re_xxx",
        "CORS_ORIGINS": "*",
        "FEATURE_X": "maybe",
        "AI_MAX_RETRIES_FILE": "absent",
    }

    with pytest.raises(ConfigError) as caught:
        load(Everything, environ=broken, dotenv=Path(".env"))

    assert {
        ".env line 1",
        "AI_MAX_RETRIES",
        "CORS_ORIGINS",
        "DATABASE_MIN_CONNECTIONS",
        "DATABASE_URL",
        "EMAIL_FROM",
        "FEATURE_X",
        "LOG_LEVEL",
        "PORT",
        "RESEND_API_KEY",
        "STRIPE_API_KEY",
    } == {fault.variable for fault in caught.value.faults}


def test_a_fault_says_all_there_is_to_know() -> None:
    """The variable, what is wrong, where the value came from, and what would be right."""
    Path(".env").write_text("# port\nPORT=80x\n")

    with pytest.raises(ConfigError) as caught:
        load(ServerSettings, environ={}, dotenv=Path(".env"))

    assert (
        "The configuration has 1 fault:\n"
        "  PORT: '80x': not a valid integer [.env line 2]. Right would be a whole number from 1 to 65535."
    ) == str(caught.value)


def test_a_missing_variable_says_where_it_was_sought() -> None:
    """A required variable that is nowhere is named with the places that may hold it."""
    with pytest.raises(ConfigError) as caught:
        load(DatabaseSettings, environ={}, dotenv=None)

    assert (
        "DATABASE_URL: is needed, but not set [looked in the environment, DATABASE_URL_FILE and .env]. "
        "Right would be a URL such as postgresql://user:password@host:5432/database."
    ) == str(caught.value.faults[0])


def test_a_broken_file_pointer_is_told() -> None:
    """A NAME_FILE that leads nowhere is that variable's fault, even where there is a default."""
    assert {"PORT": "names a file that does not exist"} == faults(ServerSettings, {"PORT_FILE": "absent"})


def test_a_value_that_is_no_utf8_is_told() -> None:
    """Bytes that are no text become a fault that can be printed."""
    with pytest.raises(ConfigError) as caught:
        load(EmailSettings, environ={"EMAIL_FROM_NAME": "a\udcff"}, dotenv=None)

    assert "EMAIL_FROM_NAME" in str(caught.value).encode().decode()


def test_flags_are_read_from_every_source() -> None:
    """Any FEATURE_ name is a flag, by its name in small letters; one that is not set is off."""
    Path(".env").write_text("FEATURE_FROM_DOTENV=no\nFEATURE_EMPTY=\n")
    Path("flag").write_text("on\n")
    Path("blank").write_text("\n")
    environ = {
        "FEATURE_": "true",
        "FEATURE_DARK_MODE": "true",
        "FEATURE_FROM_FILE_FILE": "flag",
        "FEATURE_FROM_BLANK_FILE": "blank",
    }

    features = load(FeatureSettings, environ=environ, dotenv=Path(".env"))

    assert {"dark_mode": True, "from_dotenv": False, "from_file": True} == dict(features)
    assert [True, False, False] == [
        features.enabled(name) for name in ("dark_mode", "from_dotenv", "unheard_of")
    ]
    assert (3, True) == (len(features), features["dark_mode"])


def test_a_class_that_is_no_section_is_refused() -> None:
    """A field that is no section is a mistake of the programmer, and said so."""

    @dataclass(frozen=True)
    class Wrong:
        port: int

    with pytest.raises(TypeError, match=r"Wrong\.port is no section"):
        load(Wrong, environ={}, dotenv=None)
    with pytest.raises(TypeError, match="neither a section nor a dataclass"):
        load(int, environ={}, dotenv=None)


def test_a_misspelt_variable_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the likely name and the place of the misspelt one, never its value."""
    Path(".env").write_text("DATABSE_URL=postgresql://u:wonderland@h/d\n")

    load(ServerSettings, environ={"CORS_ORIGIN": "https://x"}, dotenv=Path(".env"))

    assert [
        "CORS_ORIGIN (environment) is not known: did you mean CORS_ORIGINS?",
        "DATABSE_URL (.env line 1) is not known: did you mean DATABASE_URL?",
    ] == caplog.messages
