"""What a probe or Prometheus is answered; no answer waits for the event loop, PostgreSQL or Redis."""

from http import HTTPStatus
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from sherpa.telemetry.health import State
from sherpa.worker.vitals import Phase, Vitals


class Answer(NamedTuple):
    """A response: its status, the type of its body, the body."""

    status: HTTPStatus
    content_type: str
    body: bytes


class Answers:
    """Answers by path."""

    def __init__(self, vitals: Vitals, registry: CollectorRegistry) -> None:
        self._vitals, self._registry = vitals, registry
        self._pages = {
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/health/startup": self._startup,
        }

    def answer(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of `path`, whatever stands after its question mark."""
        path = path.partition("?")[0]
        if path == "/metrics":
            return self._metrics(accept)
        if page := self._pages.get(path):
            return page()
        return _told("not found", HTTPStatus.NOT_FOUND)

    def _live(self) -> Answer:
        """Say whether the event loop turns: 503 means that only a restart helps."""
        return _told("stuck", HTTPStatus.SERVICE_UNAVAILABLE) if self._vitals.stuck else _told("alive")

    def _startup(self) -> Answer:
        """Say whether the start is over: 503 until then, 200 ever after."""
        if self._vitals.phase is Phase.STARTING:
            return _told(Phase.STARTING, HTTPStatus.SERVICE_UNAVAILABLE)
        return _told("started")

    def _ready(self) -> Answer:
        """Say whether events are relayed and handled: 200 when ready or degraded, else 503."""
        vitals = self._vitals
        if vitals.stuck:
            return _told("stuck", HTTPStatus.SERVICE_UNAVAILABLE)
        if vitals.phase is not Phase.WORKING:
            return _told(vitals.phase, HTTPStatus.SERVICE_UNAVAILABLE)
        report = vitals.report
        unavailable = report.status is State.UNAVAILABLE
        return _json(report, HTTPStatus.SERVICE_UNAVAILABLE if unavailable else HTTPStatus.OK)

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return Answer(HTTPStatus.OK, content_type, encode(self._registry))


def _told(status: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    return _json({"status": status}, code)


def _json(body: object, status: HTTPStatus) -> Answer:
    return Answer(status, "application/json", msgspec.json.encode(body))
