"""What probes and Prometheus are answered, by the last signs of life."""

import json
from typing import Any

import pytest

from sherpa.events.metrics import Metrics
from sherpa.telemetry.health import Finding, Report, State
from sherpa.worker import vitals as signs
from sherpa.worker.answers import Answers
from sherpa.worker.vitals import Phase, Vitals

CHECKS = {"redis": Finding("down", 0.5)}


def answer(vitals: Vitals, path: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the body."""
    answer = Answers(vitals, Metrics().registry).answer(path, "")
    return answer.status, json.loads(answer.body)


@pytest.fixture
def vitals() -> Vitals:
    """A worker that is at work."""
    vitals = Vitals()
    vitals.phase = Phase.WORKING
    return vitals


@pytest.mark.parametrize(
    ("phase", "ready", "startup"),
    [
        (Phase.STARTING, (503, "starting"), (503, "starting")),
        (Phase.WORKING, (200, "degraded"), (200, "started")),
        (Phase.DRAINING, (503, "draining"), (200, "started")),
    ],
)
def test_each_phase_has_its_answers(
    vitals: Vitals, phase: Phase, ready: tuple[int, str], startup: tuple[int, str]
) -> None:
    """Ready only while at work; started from then on; alive always."""
    vitals.phase, vitals.report = phase, Report(State.DEGRADED, CHECKS)

    found = [answer(vitals, f"/health/{path}") for path in ("ready", "startup", "live")]

    assert [ready, startup, (200, "alive")] == [(status, body["status"]) for status, body in found]


@pytest.mark.parametrize(
    ("state", "status"), [(State.READY, 200), (State.DEGRADED, 200), (State.UNAVAILABLE, 503)]
)
def test_readiness_names_the_component(vitals: Vitals, state: State, status: int) -> None:
    """The state decides the status, and the checks are in the body."""
    vitals.report = Report(state, CHECKS)

    checks = {"redis": {"status": "down", "latency_ms": 0.5}}
    assert (status, {"status": state, "checks": checks}) == answer(vitals, "/health/ready")


def test_a_stuck_loop_is_not_alive(vitals: Vitals, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the event loop has not been heard of for too long, the worker is neither alive nor ready."""
    monkeypatch.setattr(signs, "STUCK_SECONDS", -1)

    assert [(503, {"status": "stuck"})] * 2 == [
        answer(vitals, path) for path in ("/health/live", "/health/ready")
    ]


def test_metrics_are_prometheus_text(vitals: Vitals) -> None:
    """Every instrument is there, in the form that the client asks for."""
    answers = Answers(vitals, Metrics().registry)

    plain = answers.answer("/metrics?name[]=x", "")
    open_metrics = answers.answer("/metrics", "application/openmetrics-text; version=1.0.0")

    assert b"# TYPE sherpa_events_outbox_oldest_pending_seconds gauge" in plain.body
    assert ("text/plain", "application/openmetrics-text") == (
        plain.content_type.partition(";")[0],
        open_metrics.content_type.partition(";")[0],
    )


def test_there_is_nothing_else(vitals: Vitals) -> None:
    """Another path is not found."""
    assert (404, {"status": "not found"}) == answer(vitals, "/")
