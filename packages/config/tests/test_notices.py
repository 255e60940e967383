"""Misspelt variables of ours are noticed; those of other programs are left alone."""

from pathlib import Path

import pytest

from sherpa.config.notices import notices
from sherpa.config.sources import Sources

FOREIGN = (
    "PATH HOME HOSTNAME HOSTTYPE HOSTS POST PROT LANG USER LOGNAME SHELL PWD EMAIL EDITOR TERM "
    "DATABASE REDIS FEATURES OPENAI_BASE_URL OPENAI_API_BASE OPENAI_API_TYPE OPENAI_API_VERSION "
    "OPENAI_ORG_ID OPENAI_MODEL ANTHROPIC_BASE_URL ANTHROPIC_AUTH_TOKEN ANTHROPIC_MODEL "
    "AZURE_OPENAI_API_KEY XAI_API_KEY GEMINI_API_KEY STRIPE_SECRET_KEY STRIPE_PUBLISHABLE_KEY "
    "STRIPE_API_BASE STRIPE_API_VERSION STRIPE_CLI_KEY RESEND_API_URL ZITADEL_DOMAIN "
    "ZITADEL_CLIENT_SECRET ZITADEL_ISSUER EMAIL_HOST EMAIL_PORT EMAIL_HOST_USER POSTGRES_PASSWORD "
    "POSTGRES_USER POSTGRES_DB PGHOST PGPORT PGPASSWORD PGDATABASE DATABASE_HOST DATABASE_PORT "
    "DATABASE_USER DATABASE_NAME DATABASE_PASSWORD TEST_DATABASE_URL REDIS_HOST REDIS_PORT "
    "REDIS_PASSWORD DOCKER_HOST BROKER_HOST CELERY_REDIS_URL LOG_FILE LOG_DIR "
    "COMPOSE_PROJECT_NAME API_TIMEOUT_SECONDS "
    "REDIS_URL_FILE STRIPE_API_KEY_FILE PORT_FILE HOSTS_FILE HTTP_PORT host port http_proxy _ "
)


def noticed(environ: dict[str, str], dotenv: str = "") -> tuple[str, ...]:
    """Return the notices about this environment and this `.env`."""
    Path(".env").write_text(dotenv)
    return notices(Sources.open(environ, Path(".env")))


@pytest.mark.parametrize("name", ["DATABSE_URL\n", "DATABSE_\x1b[31mURL", "DATABSE_URL\udcff"])
def test_names_that_nobody_types_are_left_alone(name: str) -> None:
    """Control characters and stray bytes are no slip, and are never shown."""
    assert () == noticed({name: "x"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_ULR", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("DATA_BASE_URL", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("DATABASE_URL_", "DATABASE_URL"),
        ("DATABASE_SSLMODE", "DATABASE_SSL_MODE"),
        ("DATABASE_MAX_CONECTIONS", "DATABASE_MAX_CONNECTIONS"),
        ("DATABSE_MAX_CONECTIONS", "DATABASE_MAX_CONNECTIONS"),
        ("REDIS_TIMEOUT", "REDIS_TIMEOUT_SECONDS"),
        ("REQUEST_TIMEOUT", "REQUEST_TIMEOUT_SECONDS"),
        ("STRIPE_WEBHOOK_SECERT", "STRIPE_WEBHOOK_SECRET"),
        ("STRIPE_API_KEYS", "STRIPE_API_KEY"),
        ("OPENAPI_API_KEY", "OPENAI_API_KEY"),
        ("ANTROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        ("ZITADEL_AUTORITY", "ZITADEL_AUTHORITY"),
        ("RESEND_API_KYE", "RESEND_API_KEY"),
        ("EMAIL_FORM", "EMAIL_FROM"),
        ("IA_PRIMARY_PROVIDER", "AI_PRIMARY_PROVIDER"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("LOG_LVL", "LOG_LEVEL"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("ENVIROMENT", "ENVIRONMENT"),
        ("DATABSE_URL_FILE", "DATABASE_URL_FILE"),
        ("FEATRUE_DARK_MODE", "FEATURE_DARK_MODE"),
        ("feature_dark_mode", "FEATURE_DARK_MODE"),
    ],
)
def test_a_slip_is_noticed_with_the_likely_name(name: str, meant: str) -> None:
    """A misspelt name, from the environment or from `.env`, comes with what was meant and its place."""
    assert (f"{name} (environment) is not known: did you mean {meant}?",) == noticed({name: "x"})
    assert (f"{name} (.env line 1) is not known: did you mean {meant}?",) == noticed({}, f"{name}=x")


@pytest.mark.parametrize("name", FOREIGN.split())
def test_other_programs_variables_are_left_alone(name: str) -> None:
    """No false alarm about a variable that is somebody else's, however near its name."""
    assert () == noticed({name: "x"})


def test_a_look_alike_beside_the_right_name_is_foreign() -> None:
    """REDIS_URI next to REDIS_URL belongs to another program; next to `.env`'s it is a slip."""
    assert () == noticed({"REDIS_URI": "x", "REDIS_URL": "x"})
    assert 1 == len(noticed({"REDIS_URI": "x"}, "REDIS_URL=x"))


def test_an_empty_variable_is_no_slip() -> None:
    """A misspelt name without a value sets nothing, so there is nothing to say."""
    assert () == noticed({"DATABSE_URL": ""}, "DATABSE_URL=\n")


def test_a_hidden_file_is_noticed() -> None:
    """A NAME_FILE that the environment's NAME hides would otherwise be ignored in silence."""
    environ = {"STRIPE_API_KEY": "sk_1", "STRIPE_API_KEY_FILE": "/run/secrets/stripe"}

    assert ("STRIPE_API_KEY_FILE is not read, because the environment also has STRIPE_API_KEY",) == noticed(
        environ
    )


def test_a_repeated_line_is_noticed() -> None:
    """A variable that stands twice in `.env` is told: the first line looks as if it counted."""
    assert ("PORT stands more than once in .env: the last one counts",) == noticed({}, "PORT=1\nPORT=2\n")
