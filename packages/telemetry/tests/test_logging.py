"""One line for each event, at the level that its logger has, ours and foreign ones alike."""

import logging
import re
import warnings
from typing import Any

import pytest

from sherpa.telemetry.logging import get_logger

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_json_line_has_the_event_and_its_facts(json_lines: Any) -> None:
    """A line of ours is one JSON object: level, event, logger, service and the fields given."""
    get_logger("sherpa.some").info("it opened", seconds=0.5, path="/x")

    event = json_lines.event
    timestamp = event.pop("timestamp")
    assert RFC_3339.fullmatch(timestamp)
    assert {
        "level": "info",
        "event": "it opened",
        "logger": "sherpa.some",
        "service": "sherpa-test",
        "seconds": 0.5,
        "path": "/x",
    } == event


def test_foreign_line_has_the_same_shape(json_lines: Any) -> None:
    """A stdlib logger's record becomes the same kind of line, with its `extra` fields."""
    logging.getLogger("asyncpg").warning("slow %s", "query", extra={"rows": 3})

    event = json_lines.event
    assert RFC_3339.fullmatch(event.pop("timestamp"))
    assert {
        "level": "warning",
        "event": "slow query",
        "logger": "asyncpg",
        "service": "sherpa-test",
        "rows": 3,
    } == event


def test_console_line_is_for_eyes(console_lines: Any) -> None:
    """A console line shows time, level, event, logger and fields, and no service: the reader knows it."""
    get_logger("sherpa.some").info("it opened", seconds=0.5)

    (line,) = console_lines.texts
    timestamp, rest = line.split(" ", 1)
    assert RFC_3339.fullmatch(timestamp)
    assert ["[info", "]", "it", "opened", "[sherpa.some]", "seconds=0.5"] == rest.split()


@pytest.mark.parametrize("name", ["sherpa.db", "sherpa.db.pool", "asyncpg", "granian"])
def test_directives_rule_our_loggers_and_foreign_ones(set_up: Any, name: str) -> None:
    """A directive sets the level of the logger it names and of all below it, whoever owns it."""
    lines = set_up("error,sherpa.db=debug,asyncpg=debug,granian=debug")

    get_logger(name).debug("ours")
    logging.getLogger(name).debug("foreign")

    assert ["ours", "foreign"] == [event["event"] for event in lines.events]


@pytest.mark.parametrize("name", ["sherpa", "sherpa.dbx", "redis"])
def test_other_loggers_keep_the_default(set_up: Any, name: str) -> None:
    """What no directive names has the default level."""
    lines = set_up("error,sherpa.db=debug")

    get_logger(name).warning("ours")
    logging.getLogger(name).warning("foreign")

    assert [] == lines.texts


def test_off_silences(set_up: Any) -> None:
    """The directive `off` leaves nothing, not even what is critical."""
    lines = set_up("info,sherpa.noisy=off")

    get_logger("sherpa.noisy").critical("anything")

    assert [] == lines.texts


def test_set_up_twice_writes_once(set_up: Any) -> None:
    """Configuring again replaces the set-up: one line, in the new place, at the new levels."""
    before = set_up("debug,sherpa.a=debug")
    log = get_logger("sherpa.a")

    after = set_up("warning")
    log.info("dropped")
    log.warning("ours")
    logging.getLogger("redis").warning("foreign")

    assert [] == before.texts
    assert ["ours", "foreign"] == [event["event"] for event in after.events]


def test_python_warnings_become_lines(json_lines: Any) -> None:
    """A warning that is shown, and not raised as in tests, is a line like any other."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    assert "py.warnings" == json_lines.event["logger"]


def test_logger_made_before_the_set_up_obeys_it(set_up: Any) -> None:
    """Modules make their loggers when imported, before anything is configured."""
    log = get_logger("sherpa.early")

    lines = set_up("info,sherpa.early=debug")
    log.debug("heard")

    assert "heard" == lines.event["event"]


def test_level_known_at_run_time(json_lines: Any) -> None:
    """A level can be a number, as in the access log, and every named method has its level."""
    log = get_logger("sherpa.some")

    log.log(logging.INFO, "one")
    for write in (log.debug, log.info, log.warning, log.error, log.critical):
        write("more")

    levels = [event["level"] for event in json_lines.events]
    assert ["info", "debug", "info", "warning", "error", "critical"] == levels
