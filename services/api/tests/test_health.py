"""What probes are told, on real servers."""

from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from sherpa.api.readiness import judge
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.files import list_files
from sherpa.telemetry.health import Finding, Report, State


async def test_ready_with_everything_there(client: httpx.AsyncClient) -> None:
    """200, and for each dependency its word and its latency."""
    response = await client.get("/health/ready")

    body = response.json()
    latencies = [check.pop("latency_ms") for check in body["checks"].values()]
    assert 200 == response.status_code
    assert {
        "status": "ready",
        "checks": {
            "postgresql": {"status": "up"},
            "schema": {"status": "current"},
            "redis": {"status": "up"},
        },
    } == body
    assert all(0 < latency < 1_000 for latency in latencies)


async def test_checks_run_at_the_same_time(app: Starlette, client: httpx.AsyncClient) -> None:
    """PostgreSQL, schema and Redis are asked together: all three are under way at once."""
    under_way: list[str] = []
    most = 0

    for check in app.state.readiness._checks:
        question = check._question

        async def watched(name: str = check.name, question: Any = question) -> Any:
            nonlocal most
            under_way.append(name)
            most = max(most, len(under_way))
            try:
                return await question()
            finally:
                under_way.remove(name)

        check._question = watched

    await client.get("/health/ready")

    assert 3 == most


async def test_unmigrated_database_is_not_ready(
    make_settings: Any, connect: Any, open_app: Any, empty_database_settings: Any, redis_settings: Any
) -> None:
    """A database without any migration is behind by all of them."""
    async with (
        open_app(make_settings(empty_database_settings, redis_settings)) as app,
        connect(app) as client,
    ):
        response = await client.get("/health/ready")

    schema = response.json()["checks"]["schema"]
    assert (503, "behind", len(list_files())) == (response.status_code, schema["status"], schema["pending"])


async def test_contradictory_history_takes_no_api_down(
    make_settings: Any, connect: Any, open_app: Any, database_settings: Any, redis_settings: Any
) -> None:
    """A migration edited since it was applied, or one from newer code, stops a release, not who serves."""
    connection = await asyncpg.connect(**connect_options(database_settings, "test"))
    await connection.execute("""
        UPDATE migration SET source = 'x = 1' WHERE name = '001_foundation';
        INSERT INTO migration (name, app_name) VALUES ('999_newer', 'sherpa')
    """)
    await connection.close()

    async with (
        open_app(make_settings(database_settings, redis_settings)) as app,
        connect(app) as client,
    ):
        response = await client.get("/health/ready")

    assert (200, "current") == (response.status_code, response.json()["checks"]["schema"]["status"])


async def test_foreign_history_is_not_ready(
    make_settings: Any, connect: Any, open_app: Any, empty_database_settings: Any, redis_settings: Any
) -> None:
    """Where `migration` is somebody else's table nothing can be said of the schema: not ready."""
    connection = await asyncpg.connect(**connect_options(empty_database_settings, "test"))
    await connection.execute("CREATE TABLE migration (version int)")
    await connection.close()

    async with (
        open_app(make_settings(empty_database_settings, redis_settings)) as app,
        connect(app) as client,
    ):
        response = await client.get("/health/ready")

    words = {name: check["status"] for name, check in response.json()["checks"].items()}
    assert (503, {"postgresql": "up", "schema": "down", "redis": "up"}) == (response.status_code, words)


async def test_startup_before_and_after(make_app: Any, connect: Any) -> None:
    """503 until the dependencies are open, 200 ever after, also while the process drains."""
    app = make_app(serving=False)
    statuses = []

    async with connect(app) as client:
        for step in (lambda: None, app.state.lifecycle.serve, app.state.lifecycle.drain):
            step()
            response = await client.get("/health/startup")
            statuses.append((response.status_code, response.json()["status"]))

    assert [(503, "starting"), (200, "started"), (200, "started")] == statuses


async def test_live_touches_nothing(make_app: Any, connect: Any) -> None:
    """The process answers, whatever is away: no dependency is even open here."""
    async with connect(make_app(serving=False)) as client:
        response = await client.get("/health/live")

    assert (200, {"status": "alive"}) == (response.status_code, response.json())


async def test_draining_is_not_ready(make_app: Any, connect: Any) -> None:
    """A process that has been told to stop asks nobody and says so."""
    app = make_app()
    app.state.lifecycle.drain()

    async with connect(app) as client:
        response = await client.get("/health/ready")

    assert (503, {"status": "draining"}) == (response.status_code, response.json())


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup"])
async def test_head_and_no_store(client: httpx.AsyncClient, path: str) -> None:
    """HEAD works as GET does, and no answer is to be stored."""
    response = await client.head(path)

    assert (200, "no-store") == (response.status_code, response.headers["cache-control"])


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup"])
async def test_nothing_but_get_and_head(client: httpx.AsyncClient, path: str) -> None:
    """Health is asked, not told."""
    response = await client.post(path)

    assert 405 == response.status_code


@pytest.mark.parametrize(
    ("postgresql", "schema", "redis", "state"),
    [
        ("up", "current", "up", State.READY),
        ("up", "current", "down", State.DEGRADED),
        ("busy", "current", "up", State.DEGRADED),
        ("up", "behind", "up", State.UNAVAILABLE),
        ("down", "down", "up", State.UNAVAILABLE),
        ("down", "current", "up", State.UNAVAILABLE),
        ("up", "down", "up", State.UNAVAILABLE),
        ("down", "down", "down", State.UNAVAILABLE),
    ],
)
def test_judgement(postgresql: str, schema: str, redis: str, state: State) -> None:
    """PostgreSQL and its schema are essential; Redis, and room in the pool, are not."""
    findings = {
        "postgresql": Finding(postgresql, 1.0),
        "schema": Finding(schema, 1.0),
        "redis": Finding(redis, 1.0),
    }

    report = judge(findings)

    assert Report(state, findings) == report


def test_report_as_json() -> None:
    """The body's shape is a promise: docs/http.md shows it."""
    findings = {"schema": Finding("behind", 1.5, pending=2), "redis": Finding("up", 0.3)}

    body = msgspec.json.encode(Report(State.UNAVAILABLE, findings))

    assert (
        b'{"status":"unavailable","checks":{"schema":{"status":"behind","latency_ms":1.5,"pending":2},'
        b'"redis":{"status":"up","latency_ms":0.3}}}'
    ) == body
