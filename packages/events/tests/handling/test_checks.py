"""Handlers that can't run are refused at the start, with all that is wrong with them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from packages.events.tests.handling.conftest import COUNTER, Counted
from sherpa.events.event import Payload
from sherpa.events.handling.backoff import longest_retries, longest_wait, next_wait
from sherpa.events.handling.checks import check_handlers
from sherpa.events.handling.errors import InvalidHandlersError
from sherpa.events.handling.handler import Backoff, Kind


class CountedAgain(Counted, frozen=True, kw_only=True):
    """The same type and version once more."""


class CountedNew(Counted, frozen=True, kw_only=True):
    """The type's next version."""

    schema_version: ClassVar[int] = 2


class Nameless(Payload, frozen=True, kw_only=True):
    """A payload that forgot its type."""


class LongNamed(Counted, frozen=True, kw_only=True):
    """A type that no column can hold."""

    event_type: ClassVar[str] = "t" * 101


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "1 to 100 printable letters"),
        ({"name": "n" * 101}, "1 to 100 printable letters"),
        ({"name": " n"}, "without blanks"),
        ({"name": "n\n"}, "printable"),
        ({"takes": ()}, "takes no event"),
        ({"takes": (Counted, CountedAgain)}, "version 1 of 'thing.counted' as 2 classes"),
        ({"takes": (Nameless,)}, "Nameless.event_type is '': it must be 1 to 100"),
        ({"takes": (LongNamed,)}, "LongNamed.event_type is 'ttt"),
        ({"attempts": 0}, "attempts is 0: it must be 1 to 100"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 10_001}, "batch_size is 10001"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"concurrency": 33}, "concurrency is 33"),
        ({"kind": Kind.SET, "concurrency": 8}, "leave it out"),
        ({"timeout_seconds": 0.0}, "timeout_seconds is 0.0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
        ({"backoff": Backoff(first_seconds=-1)}, "backoff.first_seconds is -1"),
        ({"backoff": Backoff(factor=0.5)}, "backoff.factor is 0.5"),
    ],
)
def test_fault_is_named(changes: dict[str, Any], says: str) -> None:
    """Each thing that can't be is refused, with what it must be."""
    with pytest.raises(InvalidHandlersError, match=says):
        check_handlers([replace(COUNTER, **changes)])


def test_two_handlers_of_one_name_are_refused() -> None:
    """A name is how an event is known to be done: it belongs to one handler."""
    with pytest.raises(InvalidHandlersError, match="'counter' is the name of 2 handlers"):
        check_handlers([COUNTER, replace(COUNTER, attempts=2)])


def test_all_faults_are_said_at_once() -> None:
    """Who corrects one need not start again to learn of the next."""
    with pytest.raises(InvalidHandlersError, match=r"attempts is 0.*'other': batch_size is 0"):
        check_handlers([replace(COUNTER, attempts=0), replace(COUNTER, name="other", batch_size=0)])


def test_retention_must_outlast_the_retries() -> None:
    """What is done must be remembered for longer than an event may be tried again."""
    patient = replace(COUNTER, attempts=3, timeout_seconds=1, backoff=Backoff(first_seconds=10, factor=1))

    with pytest.raises(InvalidHandlersError, match="EVENTS_DEDUPE_RETENTION_DAYS"):
        check_handlers([patient], dedupe_retention=timedelta(seconds=23))
    check_handlers([patient], dedupe_retention=timedelta(seconds=24))

    assert timedelta(seconds=23) == longest_retries(patient)


def test_good_handlers_pass() -> None:
    """Several names, several versions of a type, every kind."""
    check_handlers(
        [
            COUNTER,
            replace(COUNTER, name="n" * 100, takes=(Counted, CountedNew)),
            replace(COUNTER, name="set", kind=Kind.SET, concurrency=4),
        ]
    )


def test_waits_grow_up_to_the_longest() -> None:
    """Each wait is longer than the one before, by the factor, and never longer than the most."""
    backoff = Backoff(first_seconds=1, factor=3, most_seconds=20)

    waits = [longest_wait(backoff, attempts).total_seconds() for attempts in (1, 2, 3, 4, 10_000)]

    assert [1, 3, 9, 20, 20] == waits


def test_waits_are_spread() -> None:
    """Of many that fail together, hardly two come again at the same time; none before half of the wait."""
    backoff = Backoff(first_seconds=100)

    waits = {next_wait(backoff, 1) for _ in range(100)}

    assert len(waits) > 90
    assert all(timedelta(seconds=50) <= wait <= timedelta(seconds=100) for wait in waits)
