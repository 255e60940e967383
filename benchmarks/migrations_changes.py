"""What benchmarks/migrations.py applies, the same SQL for all: the seed's migrations, and small ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from sherpa.db.migrations.versions import sherpa_001_foundation as foundation
from sherpa.db.migrations.versions import sherpa_002_membership as membership


@dataclass(frozen=True)
class Change:
    """One migration: its place in the order, its name, and its SQL both ways."""

    number: int
    name: str
    forwards: str
    backwards: str

    @property
    def stem(self) -> str:
        """A file's name that sorts by the place in the order: `0001_foundation`."""
        return f"{self.number:04}_{self.name}"


def seed() -> Sequence[Change]:
    """Return the migrations that the schema began with."""
    return [
        Change(1, "foundation", foundation.FORWARDS, foundation.BACKWARDS),
        Change(2, "membership", membership.FORWARDS, membership.BACKWARDS),
    ]


def small(count: int) -> Sequence[Change]:
    """Return so many migrations of a table each."""
    return [
        Change(
            number,
            f"small_{number}",
            f"CREATE TABLE small_{number} (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL DEFAULT '');",
            f"DROP TABLE small_{number};",
        )
        for number in range(1, count + 1)
    ]
