"""Exceptions in the log: structured in JSON, indented on a console, without variables."""

import logging
from typing import Any

import pytest

from sherpa.telemetry.logging import get_logger

log = get_logger("sherpa.some")


def fail(secret: str = "hunter2") -> None:
    """Raise with a cause, from a frame that holds a secret."""
    try:
        int("inner")
    except ValueError as error:
        raise KeyError("outer") from error


def test_exception_is_structured(json_lines: Any) -> None:
    """The chain is a list, outermost first, each with type, message and frames."""
    try:
        fail()
    except KeyError:
        log.exception("it failed")

    outer, inner = json_lines.event["exception"]
    assert ("KeyError", "'outer'", "fail") == (
        outer["exc_type"],
        outer["exc_value"],
        outer["frames"][-1]["name"],
    )
    assert ("ValueError", True) == (inner["exc_type"], inner["is_cause"])


def test_foreign_exception_is_structured(json_lines: Any) -> None:
    """A record with `exc_info` has its exception told the same way."""
    try:
        fail()
    except KeyError:
        logging.getLogger("asyncpg").exception("it failed")

    assert ["KeyError", "ValueError"] == [each["exc_type"] for each in json_lines.event["exception"]]


def test_exception_given_as_object(json_lines: Any) -> None:
    """`exc_info=error` works outside of the `except` block."""
    log.error("it failed", exc_info=ValueError("kept"))

    (only,) = json_lines.event["exception"]
    assert "kept" == only["exc_value"]


def test_group_shows_its_members(json_lines: Any) -> None:
    """An exception group carries each of its exceptions."""
    log.error("it failed", exc_info=ExceptionGroup("two", [ValueError("a"), KeyError("b")]))

    (group,) = json_lines.event["exception"]
    members = [member[0]["exc_type"] for member in group["exceptions"]]
    assert ["ValueError", "KeyError"] == members


@pytest.mark.parametrize("lines", ["json_lines", "console_lines"])
def test_variables_are_not_shown(lines: str, request: pytest.FixtureRequest) -> None:
    """A frame's variables, which may be secrets, stay out."""
    written = request.getfixturevalue(lines)

    try:
        fail(secret="hunter2")
    except KeyError:
        log.exception("it failed")

    logged = written.getvalue().replace('fail(secret="hunter2")', "")  # the source line of this very test
    assert "KeyError" in logged
    assert "hunter2" not in logged


def test_console_traceback_is_indented(console_lines: Any) -> None:
    """No line of an exception begins where a log line begins, whatever newlines its message has."""
    log.error("it failed", exc_info=ValueError("a\n2026-01-01T00:00:00.000Z [info] forged"))

    first, *rest = console_lines.texts
    assert "it failed" in first
    assert "    ValueError: a" in rest
    assert all(line.startswith("    ") for line in rest)


def test_console_traceback_has_no_control_characters(console_lines: Any) -> None:
    """An exception's message cannot steer the reader's terminal."""
    log.error("it failed", exc_info=ValueError("\x1b[2Jgone"))

    assert "\x1b" not in console_lines.getvalue()


def test_endless_recursion_is_shortened(json_lines: Any) -> None:
    """A thousand frames become the few that tell where."""

    def recurse() -> None:
        recurse()

    try:
        recurse()
    except RecursionError:
        log.exception("it failed")

    (only,) = json_lines.event["exception"]
    assert len(only["frames"]) <= 21


def test_true_outside_of_an_exception(json_lines: Any) -> None:
    """With no exception being handled there is none to add."""
    given = True

    log.error("nothing to tell", exc_info=given)

    assert "exception" not in json_lines.event
