"""The bounds of a pass, against every order in which transactions may write, commit and be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sherpa.events.relay import horizon
from sherpa.events.relay.horizon import BEGINNING, Bounds, Horizon, Sample

START = datetime(2026, 1, 1, tzinfo=UTC)

WRITERS = st.integers(0, 3)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["write", "commit"]), WRITERS),
    st.tuples(st.just("pass"), st.integers(1, 3)),
    st.tuples(st.just("sample"), st.just(0)),
)


@dataclass
class Server:
    """What PostgreSQL knows: a clock that rises with each step, transactions, and rows that they wrote."""

    now: int = 0
    next_number: int = 10
    open_numbers: dict[int, int] = field(default_factory=dict)
    written: dict[int, list[int]] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)

    def write(self, writer: int) -> None:
        """Write a row, in a transaction that begins with its first one."""
        if writer not in self.open_numbers:
            self.open_numbers[writer] = self.next_number
            self.next_number += 1
        self.written.setdefault(writer, []).append(self.now)

    def commit(self, writer: int) -> None:
        """Make a transaction's rows visible."""
        self.open_numbers.pop(writer, None)
        self.visible.update(self.written.pop(writer, []))

    def sample(self) -> Sample:
        """Return what a look shows."""
        return Sample(time(self.now), frozenset(self.open_numbers.values()))

    def lower_bound(self, bounds: Bounds) -> datetime:
        """Return what the relay's statement computes from the bounds."""
        ended = [
            since
            for number, since in zip(bounds.numbers, bounds.since, strict=True)
            if number not in self.open_numbers.values()
        ]
        return min([bounds.recent, *ended])


def time(moment: int) -> datetime:
    """Return the clock's time at a moment."""
    return START + timedelta(seconds=moment)


@pytest.fixture(autouse=True, scope="module")
def exact() -> Iterator[None]:
    """Let bounds have no margin, which would hide an error of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(horizon, "MARGIN", timedelta())
        yield


# A backlog that is read in parts, of which the last is older than the bound would be without it.
BACKLOG = [*[("write", 0)] * 3, ("commit", 0), *[("sample", 0), ("pass", 1)] * 2]


@given(st.lists(STEPS, max_size=60))
@example(BACKLOG)
def test_a_pass_takes_the_oldest_that_are_visible(steps: list[tuple[str, int]]) -> None:
    """Whatever happens between passes, each takes exactly the oldest rows that are visible and not taken."""
    server, bounds = Server(), Horizon()
    taken: set[int] = set()
    for kind, argument in [*steps, ("pass", 100)]:
        server.now += 1
        if kind == "write":
            server.write(argument)
        elif kind == "commit":
            server.commit(argument)
        elif kind == "sample":
            bounds.observe(server.sample())
        else:
            waiting = sorted(server.visible - taken)
            lower = server.lower_bound(bounds.bounds)
            found = [moment for moment in waiting if time(moment) >= lower][:argument]
            bounds.passed(time(found[-1]) if len(found) == argument else None)

            assert waiting[:argument] == found
            taken.update(found)


def test_bound_rises_while_a_transaction_stays_open() -> None:
    """A transaction that is open for ever does not hold the bound back."""
    bounds = Horizon()
    for second in range(5):
        bounds.observe(Sample(time(second), frozenset({7})))
        bounds.passed(None)

    assert time(3) == bounds.bounds.recent
    assert ((7,), (BEGINNING,)) == (bounds.bounds.numbers, bounds.bounds.since)


def test_restart_begins_at_the_beginning() -> None:
    """After a restart everything is read again, once."""
    bounds = Horizon()
    for second in range(3):
        bounds.observe(Sample(time(second), frozenset()))
        bounds.passed(None)

    bounds.restart()

    assert BEGINNING == bounds.bounds.recent
    bounds.passed(None)
    assert time(1) == bounds.bounds.recent
