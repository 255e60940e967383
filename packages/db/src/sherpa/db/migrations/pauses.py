"""How long to wait between two attempts: twice as long each time, and spread so that nobody keeps step.

Our own four lines, for Tenacity takes longer to import than a run with nothing to do may cost (0036).
"""

import itertools
import random
from collections.abc import Iterator


def pauses(first_seconds: float, longest_seconds: float) -> Iterator[float]:
    """Yield growing pauses in seconds, without end, each between a half and the whole of its step."""
    for doubling in itertools.count():
        step = min(first_seconds * 2.0 ** min(doubling, 60), longest_seconds)
        yield step * random.uniform(0.5, 1)  # noqa: S311 (spreads the waiting, guards nothing)
