"""How large the next batch is and how long to rest before it: what keeps a data migration out of the way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sherpa.db.migrations.pauses import pauses

# Grows slower than it shrinks: too small a batch costs us a little, too large a one costs the application.
_GROWTH: Final = 1.5
_SHRINKAGE: Final = 0.5
_MOST_ROWS: Final = 50_000

_BACKOFF_SECONDS: Final = (0.1, 5.0)


@dataclass(slots=True)
class Pace:
    """The size of a batch, in rows, on its way to one that takes `batch_seconds`.

    `duty` is the share of the time that is worked: 0.5 rests as long as it works, 1 never rests. All times
    are in seconds.
    """

    rows: int
    batch_seconds: float
    duty: float
    _backoff: Iterator[float] = field(default_factory=lambda: pauses(*_BACKOFF_SECONDS), init=False)

    def after_batch(self, seconds: float, waiting: int) -> float:
        """Adapt to a batch that took `seconds` while `waiting` sessions waited for it; return the rest."""
        self._backoff = pauses(*_BACKOFF_SECONDS)
        rest = seconds * (1 / self.duty - 1)
        if waiting:
            self._scale(_SHRINKAGE)
            return rest + seconds * waiting
        self._scale(max(_SHRINKAGE, min(_GROWTH, self.batch_seconds / max(seconds, 1e-6))))
        return rest

    def after_conflict(self) -> float:
        """Halve the batch that could not have its locks; return how long to let the others work."""
        self._scale(_SHRINKAGE)
        return next(self._backoff)

    def _scale(self, factor: float) -> None:
        # Upwards by one row at least: a half more than one row would be one row for ever.
        rows = int(self.rows * factor) + (factor > 1)
        self.rows = max(1, min(rows, _MOST_ROWS))
