"""Logging never raises, whatever it is given and wherever it writes."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sherpa.telemetry import sink
from sherpa.telemetry.foreign import ForeignHandler
from sherpa.telemetry.logging import get_logger
from sherpa.telemetry.pipeline import pipeline

log = get_logger("sherpa.some")

SCRIPT = """
import sys
from sherpa.config import LogFormat, LoggingSettings
from sherpa.telemetry.foreign import ForeignHandler
from sherpa.telemetry.logging import configure, get_logger

configure(LoggingSettings(format=LogFormat.JSON), service="x")
for number in range(2_000):
    get_logger("sherpa.some").info("a line", number=number)
sys.stderr.write("survived")
"""


class Broken:
    """An object that cannot be shown in any way."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class BrokenError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("lines", ["json_lines", "console_lines"])
@pytest.mark.parametrize(
    "value",
    [
        Broken(),
        [Broken()],
        {Broken: Broken()},
        "half a pair \ud800",
        {"\udfff": b"\xff\x00"},
        float("nan"),
        2**200,
        object,
        {1, "a"},
        ("a\nb", "\x1b[31m"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_makes_one_line(lines: str, value: object, request: pytest.FixtureRequest) -> None:
    """Objects that cannot be shown, bytes, halves of characters and escapes end up in one whole line."""
    written = request.getfixturevalue(lines)

    log.info("a value", value=value)

    (line,) = written.texts
    assert "a value" in line


@given(event=st.text(), value=st.text() | st.binary() | st.dictionaries(st.text(), st.floats()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_makes_one_json_line(set_up: Any, event: str, value: object) -> None:
    """No text breaks out of its line."""
    lines = set_up()

    log.info(event, value=value)

    assert event[:100] == str(lines.event["event"])[:100]


@pytest.mark.parametrize("lines", ["json_lines", "console_lines"])
def test_broken_exception_makes_a_line(lines: str, request: pytest.FixtureRequest) -> None:
    """An exception whose message cannot be had is named by its type."""
    written = request.getfixturevalue(lines)

    log.error("it failed", exc_info=BrokenError())

    assert "BrokenError" in written.getvalue()


def test_foreign_arguments_that_do_not_fit(json_lines: Any) -> None:
    """A library's wrong format string costs the arguments, not the line."""
    record = logging.makeLogRecord({"name": "redis", "msg": "%d of %d", "args": ("one",)})

    ForeignHandler().handle(record)

    assert "%d of %d" == json_lines.event["event"]


def test_newlines_cannot_forge_a_console_line(console_lines: Any) -> None:
    """A newline in what a client sent is spelled out."""
    log.info("a path\nforged", path="/x\r\nforged", **{"na\nme": 1})

    assert 1 == len(console_lines.texts)


def test_renderer_that_fails_is_reported(json_lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a fault of ours in rendering is a line, and no exception."""
    monkeypatch.setattr(pipeline, "render", lambda event: event["no such field"])

    log.info("a line")

    assert "a line of 'sherpa.some' could not be rendered: KeyError" == json_lines.texts[0]


def test_closed_stream_costs_only_the_line(set_up: Any) -> None:
    """Writing to a stream that has been closed is survived."""
    lines = set_up()
    lines.close()

    log.info("lost")

    assert lines.closed


def test_absent_stdout_costs_only_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without standard output can log."""
    monkeypatch.setattr(sys, "stdout", None)

    log.critical("lost")

    assert sys.stdout is None


def test_default_stream_is_standard_output(set_up: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream of its own, logging follows `sys.stdout`."""
    set_up()
    pipeline.sink.stream = None

    log.info("heard")

    assert "heard" == json.loads(capsys.readouterr().out)["event"]


def test_stream_with_a_descriptor_gets_whole_lines(set_up: Any, tmp_path: Path) -> None:
    """A line goes to the descriptor at once, so that a crash loses nothing."""
    set_up()
    with (tmp_path / "log").open("w") as stream:
        pipeline.sink.stream = stream
        log.info("written")

        text = (tmp_path / "log").read_text()

    assert "written" == json.loads(text)["event"]


def test_stream_without_a_descriptor(set_up: Any) -> None:
    """A stream in memory is written to as text."""
    set_up()
    pipeline.sink.stream = stream = io.StringIO()

    log.info("written")

    assert "written" == json.loads(stream.getvalue())["event"]


def test_broken_pipe_leaves_the_process_well() -> None:
    """A reader that goes away costs lines: the process goes on, and exits 0."""
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (0, b"survived") == (done.returncode, done.stderr)


def test_closed_stdout_leaves_the_process_well() -> None:
    """A process started with its standard output closed goes on, and exits 0."""
    command = ["/bin/sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", SCRIPT]

    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)

    assert (0, b"survived") == (done.returncode, done.stderr)


def test_reader_that_stops_costs_lines_and_not_the_process() -> None:
    """A pipe that is full holds nobody up: the process goes on, and exits 0."""
    reading, writing = os.pipe()

    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(reading)
    os.close(writing)

    assert (0, b"survived") == (done.returncode, done.stderr)


def test_reader_that_comes_back_is_told_what_it_missed(set_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are lost from the end, one at most is torn, and the next line of all says how many."""
    monkeypatch.setattr(sink, "PATIENCE_SECONDS", 0)
    set_up()
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        pipeline.sink.stream = stream
        for number in range(100):
            log.info("a line", number=number, text="x" * 5_000)
        received = os.read(reading, 1_000_000)
        log.info("back")
    with os.fdopen(reading, "rb") as rest:
        received += rest.read()

    *lines, back, missed = received.splitlines()
    whole = [json.loads(line)["number"] for line in lines if line.endswith(b"}")]
    assert list(range(len(whole))) == whole
    assert len(lines) - len(whole) in {0, 1}
    assert ("back", 100 - len(whole)) == (json.loads(back)["event"], json.loads(missed)["lines"])
