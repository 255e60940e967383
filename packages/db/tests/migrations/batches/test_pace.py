"""A batch grows towards its time, and shrinks at once when it is in somebody's way."""

import pytest

from sherpa.db.migrations.batches.pace import Pace


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, 1000), (0.1, 1500), (0.001, 1500), (0.4, 500), (10.0, 500), (0.25, 800)],
)
def test_batch_grows_and_shrinks_by_its_time(seconds: float, expected: int) -> None:
    """Faster than it may be, it grows by a half at most; slower, it shrinks by a half at most."""
    pace = Pace(1000, batch_seconds=0.2, duty=1)

    pace.after_batch(seconds, waiting=0)

    assert expected == pytest.approx(pace.rows, abs=1)


def test_batch_that_others_wait_for_shrinks() -> None:
    """However fast it was: when it made others wait, it is halved."""
    pace = Pace(1000, batch_seconds=0.2, duty=1)

    pace.after_batch(0.001, waiting=1)

    assert 500 == pace.rows


@pytest.mark.parametrize(
    ("duty", "waiting", "expected"), [(1, 0, 0.0), (0.5, 0, 2.0), (0.2, 0, 8.0), (0.5, 3, 8.0)]
)
def test_rest_is_in_proportion_to_the_work(duty: float, waiting: int, expected: float) -> None:
    """The rest keeps the duty; each session that waited adds as much as the batch took."""
    rest = Pace(1000, batch_seconds=0.2, duty=duty).after_batch(2.0, waiting)

    assert expected == pytest.approx(rest)


def test_size_has_both_ends() -> None:
    """It never falls below a row, grows again from there, and ends where memory would begin to matter."""
    pace = Pace(3, batch_seconds=0.2, duty=1)

    smallest = [(pace.after_conflict(), pace.rows)[1] for _ in range(5)]
    largest = [(pace.after_batch(0.001, 0), pace.rows)[1] for _ in range(50)]

    assert [1, 1, 1, 1, 1] == smallest
    assert [2, 4, 7] == largest[:3]
    assert [50_000] * 3 == largest[-3:]


def test_backoff_grows_until_a_batch_succeeds() -> None:
    """Each conflict in a row doubles the pause, up to 5 s; a batch that succeeds resets it."""
    pace = Pace(1000, batch_seconds=0.2, duty=1)

    pauses = [pace.after_conflict() for _ in range(12)]
    pace.after_batch(0.1, waiting=0)

    assert all(0.05 * 2**n <= pause <= 0.1 * 2**n for n, pause in enumerate(pauses[:5]))
    assert all(2.5 <= pause <= 5.0 for pause in pauses[7:])
    assert pace.after_conflict() <= 0.1
