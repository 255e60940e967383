"""What a migration file says: SQL both ways, and how it is to be run. Knows no Piccolo until Piccolo asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from sherpa.db.migrations.events import Direction, Report


@dataclass(frozen=True, slots=True)
class Irreversible:
    """In the place of a way back: there is none, and why. `revert` stops before such a migration."""

    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """What code needs that is run as part of a migration; `connection` is the runner's one session."""

    connection: asyncpg.Connection
    migration_id: str
    direction: Direction
    report: Report


class Work(Protocol):
    """Code in the place of SQL, for what SQL alone can't say.

    Called once in the runner's transaction; or, where the migration has `transaction=False`, without one:
    then it may be called again after a crash.
    """

    async def __call__(self, run: Run) -> None:
        """Do it."""


type Way = str | Sequence[str] | Work
"""A script of any number of statements; or single statements, each run by itself; or code."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema's history, there and back. A file binds it to the name `forwards`.

    `transaction=False` is for what PostgreSQL refuses inside a transaction, as CREATE INDEX CONCURRENTLY:
    each way is then a tuple of single statements (or code), and each of them must be one that may run twice.
    `lock_timeout_seconds` and `statement_timeout_seconds` take the place of the runner's own (0: no limit).
    """

    id: str
    description: str
    forwards: Way
    backwards: Way | Irreversible
    transaction: bool = True
    lock_timeout_seconds: float | None = None
    statement_timeout_seconds: float | None = None

    async def __call__(self) -> object:
        """Answer Piccolo's own command, which calls the `forwards` of each file for a MigrationManager."""
        from sherpa.db.migrations.piccolo import manager_of  # noqa: PLC0415 (0.3 s that our runner saves)

        return manager_of(self)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A migration, and the text of the file that says it."""

    migration: Migration
    source: str
