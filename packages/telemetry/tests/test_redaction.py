"""Secrets never show in a line, by whatever way they came into it."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherpa.config import Secret, ServiceUrl
from sherpa.telemetry.logging import get_logger
from sherpa.telemetry.redaction import plain, printable, redact

log = get_logger("sherpa.some")
URL = "postgresql://sherpa:hunter2@localhost:5432/db"


@pytest.mark.parametrize("lines", ["json_lines", "console_lines"])
@pytest.mark.parametrize(
    "fields",
    [
        {"value": Secret("hunter2")},
        {"value": ServiceUrl.parse(URL)},
        {"value": {"deep": [Secret("hunter2")]}},
        {"value": URL},
        {"value": f"could not connect to {URL}: refused"},
        {"value": "host=x password=hunter2 user=y"},
        {"value": "host=x password='hunter2' user=y"},
        {"password": "hunter2"},
        {"token": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2", "Cookie": "hunter2"}},
    ],
    ids=str,
)
def test_no_secret_in_a_field(lines: str, fields: dict[str, object], request: pytest.FixtureRequest) -> None:
    """Secret values, passwords in URLs and connection strings, and fields named as secrets are masked."""
    written = request.getfixturevalue(lines)

    log.info("connecting", **fields)

    assert "***" in written.getvalue()
    assert "hunter2" not in written.getvalue()


@pytest.mark.parametrize("lines", ["json_lines", "console_lines"])
def test_no_secret_in_an_exception(lines: str, request: pytest.FixtureRequest) -> None:
    """A driver's message with a URL in it is masked, foreign loggers' as well."""
    written = request.getfixturevalue(lines)

    log.error("it failed", exc_info=ConnectionError(f"cannot reach {URL}"))
    logging.getLogger("asyncpg").error("cannot reach %s", URL)

    assert "hunter2" not in written.getvalue()
    assert 2 == written.getvalue().count("sherpa:***@localhost")


def test_absent_secret_shows_as_absent(json_lines: Any) -> None:
    """None is no secret, and worth knowing."""
    log.info("connecting", password=None)

    assert json_lines.event["password"] is None


@given(
    st.text(
        alphabet=st.characters(exclude_characters="/:@\"'", exclude_categories=["Cc", "Cs", "Zs"]), min_size=1
    )
)
def test_any_password_of_a_url_is_masked(password: str) -> None:
    """Whatever characters a URL's password has, none of it is left."""
    line = redact(f"at redis://user:{password}@host:6379/0".encode())

    assert b"at redis://user:***@host:6379/0" == line


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    """Newlines, escapes and the invisible are spelled out."""
    assert str(printable(text)).isprintable()


def test_large_values_are_cut() -> None:
    """One line cannot be made to fill a disk."""
    text = plain("x" * 100_000)
    entries = plain(list(range(10_000)))

    assert isinstance(text, str)
    assert isinstance(entries, list)
    assert (8_193, 100) == (len(text), len(entries))


def test_deep_values_are_cut() -> None:
    """A value that contains itself ends."""
    endless: list[object] = []
    endless.append(endless)

    assert [[[[[["…"]]]]]] == plain(endless)
