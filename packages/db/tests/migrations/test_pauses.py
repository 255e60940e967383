"""Pauses between attempts: they grow, they have a limit, and no two runners keep step."""

from itertools import islice

from sherpa.db.migrations.pauses import pauses


def test_pauses_double_up_to_the_longest() -> None:
    """Each is at most twice the one before, at least half of what it may be, and never beyond the longest."""
    found = list(islice(pauses(1.0, 15.0), 2000))

    steps = [1.0, 2.0, 4.0, 8.0, *[15.0] * 1996]
    assert all(step / 2 <= pause <= step for pause, step in zip(found, steps, strict=True))


def test_pauses_are_spread() -> None:
    """Those who began together don't come back together: their pauses lie all over the range."""
    first = sorted(next(pauses(1.0, 15.0)) for _ in range(1000))

    assert first[0] < 0.6
    assert first[-1] > 0.9
