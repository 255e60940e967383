"""Points in time as operators give them."""

from datetime import UTC, datetime, timedelta

import pytest

from sherpa.events.operations.moments import Moment, in_words, parse_moment, resolve

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("2026-11-23T12:00:00Z", NOW),
        ("2026-11-23T13:00:00+01:00", NOW),
        ("2026-11-23 12:00:00.000001Z", NOW + timedelta(microseconds=1)),
    ],
)
def test_moment_is_read(text: str, moment: Moment) -> None:
    """How long ago with a unit, or RFC 3339 with an offset, which becomes UTC."""
    assert moment == parse_moment(text)


@pytest.mark.parametrize(
    "text",
    ["", "2", "-2h", "2 h", "2w", "٣h", "9999999999d", "now", "2026-11-23", "2026-11-23T12:00:00",
     "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    """No unit, no offset, no such day, a time before all times: never a guess."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("moment", "time"),
    [
        (timedelta(hours=2), NOW - timedelta(hours=2)),
        (NOW, NOW),
        (timedelta(days=999_999_999), datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_moment_becomes_a_time(moment: Moment, time: datetime) -> None:
    """How long ago is counted from the given now, and never before all times."""
    assert time == resolve(moment, NOW)


def test_written_moment_is_read_again() -> None:
    """What is printed can be given to the next command."""
    moment = NOW + timedelta(microseconds=123)

    assert moment == parse_moment(in_words(moment))
