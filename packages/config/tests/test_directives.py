"""LOG_LEVEL's language."""

import logging
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sherpa.config import InvalidValueError, LogDirectives
from sherpa.config.directives import LEVELS

LOGGER = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}(\.[A-Za-z0-9_-]{1,8}){0,2}", fullmatch=True)
DIRECTIVES = st.builds(
    LogDirectives,
    st.sampled_from(sorted(LEVELS.values())),
    st.dictionaries(LOGGER, st.sampled_from(sorted(LEVELS.values())), max_size=4).map(
        lambda d: tuple(d.items())
    ),
)


def test_reads_a_default_and_exceptions() -> None:
    """A bare level is for all loggers, the others for those named."""
    level = LogDirectives.parse("warning,sherpa=debug, asyncpg = ERROR ,")

    assert (logging.WARNING, {"sherpa": logging.DEBUG, "asyncpg": logging.ERROR}) == (
        level.default,
        dict(level.loggers),
    )


def test_default_may_stand_anywhere_or_nowhere() -> None:
    """The bare level need not come first; without one it is info."""
    levels = [LogDirectives.parse(text).default for text in ("a=debug,error", "a=debug", "")]

    assert [logging.ERROR, logging.INFO, logging.INFO] == levels


@pytest.mark.parametrize("word", LEVELS)
def test_knows_every_level_in_any_case(word: str) -> None:
    """Each level's word is read, in capitals too."""
    assert LEVELS[word] == LogDirectives.parse(word.upper()).default


def test_off_silences_even_critical() -> None:
    """`off` is above every level that is logged, `trace` below."""
    assert LEVELS["trace"] < logging.DEBUG < logging.CRITICAL < LEVELS["off"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("loud", "level that is not known"),
        ("10", "level that is not known"),
        ("sherpa", "level that is not known"),
        ("sherpa=", "level that is not known"),
        ("sherpa=debug=info", "level that is not known"),
        ("=debug", "no dotted name"),
        ("sherpa..api=debug", "no dotted name"),
        ("sherpa::api=debug", "no dotted name"),
        ("info,debug", "two levels"),
        ("a=info,a=debug", "a logger twice"),
    ],
)
def test_refuses_what_it_does_not_understand(text: str, wrong: str) -> None:
    """A directive that would be ignored or guessed is refused."""
    with pytest.raises(InvalidValueError, match=wrong):
        LogDirectives.parse(text)


@given(DIRECTIVES)
def test_what_it_writes_it_reads(level: LogDirectives) -> None:
    """`str` gives a text that means the same."""
    assert level == LogDirectives.parse(str(level))


@given(st.text() | st.text("info=,.debug sherpa-_", max_size=30))
def test_raises_nothing_but_its_own_error(text: str) -> None:
    """Any text is either read or refused with InvalidValueError."""
    with suppress(InvalidValueError):
        LogDirectives.parse(text)


def test_loggers_cannot_be_changed() -> None:
    """The mapping is a view, the value hashable: nothing can be changed after reading."""
    level = LogDirectives.parse("info,a=debug")

    with pytest.raises(TypeError):
        cast("dict[str, int]", level.loggers)["b"] = 10

    assert hash(level) == hash(LogDirectives.parse("info,a=debug"))
