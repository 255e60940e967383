"""The arguments that every connection of the project is made with."""

import subprocess
import sys
from dataclasses import replace

from sherpa.config import DatabaseSettings, Secret, ServiceUrl, SslMode
from sherpa.db.dsn import connect_options, describe_server, transaction_settings

SETTINGS = DatabaseSettings(
    url=ServiceUrl.parse("postgresql://me:p%40ss@db.example:6543/sherpa"), ssl_mode=SslMode.REQUIRE
)
POOLED = replace(SETTINGS, statement_cache_size=0)


def test_options_say_where_and_who() -> None:
    """Address, user, password (decoded), database, TLS and cache come from the settings."""
    options = connect_options(SETTINGS, "sherpa-api")

    assert {
        "host": "db.example",
        "port": 6543,
        "user": "me",
        "password": "p@ss",
        "database": "sherpa",
        "ssl": "require",
        "timeout": 10.0,
        "statement_cache_size": 100,
        "server_settings": {
            "application_name": "sherpa-api",
            "TimeZone": "UTC",
            "idle_in_transaction_session_timeout": "60s",
            "client_connection_check_interval": "500ms",
        },
    } == options


def test_pooler_gets_tracked_parameters_only() -> None:
    """Without a statement cache a pooler is assumed: what PgBouncer would refuse is set in transactions."""
    options = connect_options(POOLED, "sherpa-api")

    assert {"application_name": "sherpa-api", "TimeZone": "UTC"} == options["server_settings"]
    assert "SET LOCAL idle_in_transaction_session_timeout = '60s'" == transaction_settings(POOLED)
    assert "" == transaction_settings(SETTINGS)


def test_caller_adds_server_settings() -> None:
    """A caller's own server settings are added, and win."""
    options = connect_options(SETTINGS, "x", server_settings={"TimeZone": "CET", "lock_timeout": "5s"})

    assert ("CET", "5s") == (
        options["server_settings"]["TimeZone"],
        options["server_settings"]["lock_timeout"],
    )


def test_password_may_be_absent() -> None:
    """Without a password in the URL none is given, so that asyncpg looks where libpq would."""
    url = SETTINGS.url.replace(password=None)

    assert connect_options(replace(SETTINGS, url=url), "x")["password"] is None


def test_description_keeps_the_secret() -> None:
    """The server is described by its place alone."""
    url = SETTINGS.url.replace(password=Secret("secret"))

    assert "db.example:6543/sherpa" == describe_server(replace(SETTINGS, url=url))


def test_import_is_light() -> None:
    """Probes and migrations import it without Piccolo, asyncpg or tenacity."""
    program = "import sys, sherpa.db.dsn; print({'piccolo', 'asyncpg', 'tenacity'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "set()\n" == done.stdout
