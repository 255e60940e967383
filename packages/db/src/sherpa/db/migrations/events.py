"""What a runner tells while it works, so that whoever calls it can show or log it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

type Direction = Literal["forwards", "backwards"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody else is migrating this database; `holder` names their session as far as the server tells."""

    holder: str


@dataclass(frozen=True, slots=True)
class Waited:
    """The other runner is done, and it is our turn."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """The server remarked something while a migration ran."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One migration was applied (forwards) or reverted (backwards), and the history says so."""

    migration_id: str
    direction: Direction
    seconds: float


type Event = Waiting | Waited | Notice | Step
type Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Tell nobody."""
