"""What a runner tells while it works, so that whoever calls it can show or log it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that holds what a migration waits for, as far as the server tells us; `since` is UTC.

    A prepared transaction has no session: its `pid` is 0, and its `state` names it.
    """

    pid: int
    host: str
    application: str
    user: str
    state: str
    since: datetime | None

    def __str__(self) -> str:
        if not self.pid:
            return self.state
        since = f" since {self.since:%H:%M:%S} UTC" if self.since else ""
        return (
            f"pid {self.pid}, host {self.host}, application {self.application}, user {self.user}, "
            f"{self.state}{since}"
        )


@dataclass(frozen=True, slots=True)
class Blocked:
    """A migration waits: `lock` says for which lock on what, `blockers` who holds it or asked before us."""

    migration_id: str
    lock: str
    blockers: tuple[Blocker, ...]

    def __str__(self) -> str:
        return f"{self.lock}, held by {'; by '.join(map(str, self.blockers))}"


@dataclass(frozen=True, slots=True)
class Retrying:
    """A lock was not to be had in time; all is undone, and the migration runs again after `seconds`."""

    migration_id: str
    attempt: int
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ServerAway:
    """The server does not answer yet, and we wait for it; `reason` says what came instead."""

    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A data migration has gone over `done` rows of about `total`, this run over so many a second."""

    migration_id: str
    done: int
    total: int
    rows_per_second: float


type Event = Waiting | Waited | Notice | Step | Blocked | Retrying | ServerAway | Progress
type Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Tell nobody."""
