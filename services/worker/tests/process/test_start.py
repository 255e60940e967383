"""How a worker starts, and what keeps it from starting: said in one clear message, with the exit code."""

from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings


def test_it_starts_and_says_so(start: Any, addresses: Any) -> None:
    """A worker with its servers is ready, has started, is alive, and shows metrics."""
    worker = start(**addresses)

    ready = worker.wait_until_state("ready")

    assert {"postgresql": "up", "schema": "current", "rights": "granted", "redis": "up"} == {
        name: check["status"] for name, check in ready.json["checks"].items()
    }
    assert [200, 200, 200] == [
        worker.ask(path).status for path in ("/health/live", "/health/startup", "/metrics")
    ]
    worker.wait_until_metric('sherpa_events_relay_leader{partition="0"} 1.0')
    worker.wait_until_metric('sherpa_events_seats{role="handler/welcome-email"} 1.0')


async def test_its_sessions_fit_where_the_page_says(
    start: Any, addresses: Any, connection: asyncpg.Connection
) -> None:
    """docs/deployment.md, *Connections*: up to 10 of its own, for each partition 1 and the handlers' 5."""
    worker = start(**addresses, EVENTS_PARTITIONS="3")
    for role in ("relay", "handler/welcome-email", "handler/send-email"):
        worker.wait_until_metric(f'sherpa_events_seats{{role="{role}"}} 3.0')
    for partition in range(3):
        worker.wait_until_metric(f'sherpa_events_relay_leader{{partition="{partition}"}} 1.0')
    worker.wait_until(lambda: worker.text.count("handler owns partition") == 6, "six owners")

    sessions = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'sherpa-%'"
    )

    assert 3 * (1 + 5) < sessions <= 10 + 3 * (1 + 5)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"WORKER_PORT": "8081", "EVENTS_REPLAY_DAYS": "30"}, "EVENTS_REPLAY_DAYS"),
        ({"WORKER_HANDLERS": "welcome-email,nobody"}, "WORKER_HANDLERS names nobody"),
        ({"DATABASE_STATEMENT_CACHE_SIZE": "0"}, "is a pooler"),
    ],
)
def test_wrong_settings_end_it_with_2(start: Any, variables: dict[str, str], words: str) -> None:
    """A fault that trying again can't cure ends it with 2 and names what to correct; no secret is told."""
    worker = start(**variables)

    assert 2 == worker.exit_code()
    assert (True, False) == (words in worker.text, "hunter2" in worker.text)


def test_a_taken_port_ends_it_with_3(start: Any, addresses: Any) -> None:
    """A port that another process has is told with the variable to change."""
    first = start(**addresses).wait_until_logged("listening")

    second = start(**addresses, WORKER_PORT=str(first.port))

    assert 3 == second.exit_code()
    assert f"Port {first.port} on 127.0.0.1 is taken by another process." in second.text
    assert "set WORKER_PORT to a free one" in second.text


def test_a_refused_login_ends_it_with_1(start: Any, database_settings: DatabaseSettings) -> None:
    """PostgreSQL's no is told at once, and not waited out."""
    url = database_settings.url
    worker = start(DATABASE_URL=f"postgresql://nobody:wrong@{url.host}:{url.port}/{url.database}")

    assert 1 == worker.exit_code()


def test_production_refuses_a_forgetful_redis(start: Any, servers: Any) -> None:
    """A Redis that keeps nothing on disk is refused in production, and only warned about elsewhere."""
    plain = {"DATABASE_SSL_MODE": "disable", "REDIS_SSL_MODE": "disable"}

    refused = start(**servers.addresses, **plain, ENVIRONMENT="production")
    warned = start(**servers.addresses)

    assert 1 == refused.exit_code()
    assert "Redis could lose events, which production does not allow" in refused.text
    warned.wait_until_logged("Redis could lose events").wait_until_state("ready")


def test_it_waits_for_the_schema(start: Any, empty_database_settings: Any, redis_settings: Any) -> None:
    """On an older schema it is alive and started, not ready, and touches nothing."""
    worker = start(DATABASE_URL=empty_database_settings.url.reveal(), REDIS_URL=redis_settings.url.reveal())

    answer = worker.wait_until_state("unavailable")

    assert (503, "behind") == (answer.status, answer.json["checks"]["schema"]["status"])
    assert 200 == worker.ask("/health/startup").status
    worker.wait_until_logged("the schema is not at the code's head; waiting for `migrate`")
