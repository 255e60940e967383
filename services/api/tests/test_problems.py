"""The one table from exceptions to statuses."""

import inspect
import json

import pytest
from starlette.exceptions import HTTPException

from sherpa.api import errors, problems
from sherpa.db import errors as database

REQUEST_ERRORS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, errors.RequestError) and error is not errors.RequestError
]


@pytest.mark.parametrize("error", REQUEST_ERRORS)
def test_every_request_error_is_in_the_table(error: type[errors.RequestError]) -> None:
    """An error made to be told to a client has its status, slug and sentence."""
    kind = problems.kind_of(error())

    assert kind is not None
    assert kind.status >= 400


@pytest.mark.parametrize("error", list(problems.KINDS))
def test_every_kind_is_told_as_a_problem(error: type[Exception]) -> None:
    """Type, title, status, a sentence, the request id; as the right media type."""
    kind = problems.KINDS[error]

    response = problems.respond(error(), "r1")

    assert (kind.status, "application/problem+json") == (
        response.status_code,
        response.headers["content-type"],
    )
    assert {
        "type": f"urn:choice-sherpa:problem:{kind.slug}",
        "title": kind.status.phrase,
        "status": kind.status,
        "detail": kind.detail,
        "request_id": "r1",
    } == json.loads(bytes(response.body))


@pytest.mark.parametrize("error", list(problems.KINDS))
def test_no_message_of_an_exception_is_told(error: type[Exception]) -> None:
    """What an exception says may name hosts and users: it is for the log."""
    response = problems.respond(error("postgresql://user@host"), "r1")

    assert b"host" not in bytes(response.body)


@pytest.mark.parametrize("error", [e for e, kind in problems.KINDS.items() if kind.status == 503])
def test_unavailable_says_when_to_come_again(error: type[Exception]) -> None:
    """Every 503 has Retry-After."""
    response = problems.respond(error(), None)

    assert int(response.headers["retry-after"]) >= 1


def test_class_below_one_of_the_table_is_told_as_that() -> None:
    """A more precise error needs no line of its own."""

    class StandbyError(database.DatabaseUnavailableError):
        """A server that only reads."""

    response = problems.respond(StandbyError(), None)

    assert 503 == response.status_code


@pytest.mark.parametrize(
    "error", [LookupError("x"), database.CommitOutcomeUnknownError("x"), ExceptionGroup("x", [OSError()])]
)
def test_unknown_error_is_500_and_nothing_else(error: Exception) -> None:
    """What nobody foresaw tells only where to look."""
    response = problems.respond(error, "r1")

    assert {"title": "Internal Server Error", "status": 500, "request_id": "r1"} == json.loads(
        bytes(response.body)
    )


def test_endpoints_own_refusal_keeps_its_words_and_headers() -> None:
    """HTTPException is raised on purpose: its detail is for the client."""
    response = problems.respond(HTTPException(409, "Already a member.", {"x-hint": "a"}), "r1")

    assert "a" == response.headers["x-hint"]
    assert {
        "title": "Conflict",
        "status": 409,
        "detail": "Already a member.",
        "request_id": "r1",
    } == json.loads(bytes(response.body))


def test_status_without_a_name() -> None:
    """A status that the standard does not know is told all the same."""
    response = problems.respond(HTTPException(599, "odd"), None)

    assert {"title": "Error", "status": 599, "detail": "odd"} == json.loads(bytes(response.body))
