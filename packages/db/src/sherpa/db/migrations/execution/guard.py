"""What every migration finds, and must leave as it found it: the runner's lock, transaction and settings."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from sherpa.db.migrations.errors import BrokenMigrationError, EndedTransactionError
from sherpa.db.migrations.lock import IS_OURS, LOCK_KEY, lost_lock

# Each of these, changed by one migration and not put back, would send the record, or the migrations after it,
# elsewhere or make other things of them; but only when they happen to run on the same session.
_KEPT: Final = (
    "search_path",
    "role",
    "session_authorization",
    "session_replication_role",
    "default_tablespace",
    "DateStyle",
    "TimeZone",
)
_STANDING = f"""
SELECT pg_current_xact_id()::text AS transaction, {IS_OURS} AS is_locked,
       ARRAY[{", ".join(f"current_setting('{name}')" for name in _KEPT)}] AS settings"""
# One round trip for all that begins a migration: with hundreds of them it shows.
_ENTER = f"""{_STANDING}, set_config('lock_timeout', $2, $4), set_config('statement_timeout', $3, $4)"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a statement may wait for a lock, and how long it may run, in seconds (0: no limit)."""

    lock_seconds: float
    statement_seconds: float = 0

    @property
    def lock_timeout(self) -> str:
        """The setting `lock_timeout`."""
        return _interval(self.lock_seconds)

    @property
    def statement_timeout(self) -> str:
        """The setting `statement_timeout`."""
        return _interval(self.statement_seconds)

    def as_sql(self) -> str:
        """Return what sets them for the open transaction."""
        return (
            f"SET LOCAL lock_timeout = '{self.lock_timeout}'; "
            f"SET LOCAL statement_timeout = '{self.statement_timeout}';"
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What a session was like before a migration: its transaction, and the settings that matter."""

    transaction: str
    settings: tuple[str, ...]


async def enter(connection: asyncpg.Connection, limits: Limits, *, for_transaction: bool) -> Standing:
    """Set the limits, for the open transaction or for the session, and return how the session stands.

    Raises `LockHeldError` unless the session holds the runner's lock.
    """
    return _read(
        await connection.fetchrow(
            _ENTER, LOCK_KEY, limits.lock_timeout, limits.statement_timeout, for_transaction
        )
    )


async def require_same_transaction(
    connection: asyncpg.Connection, before: Standing, migration_id: str
) -> None:
    """Raise `BrokenMigrationError` when the migration ended the transaction or left the session changed."""
    after = _read(await connection.fetchrow(_STANDING, LOCK_KEY))
    if after.transaction != before.transaction:
        raise EndedTransactionError(migration_id)
    _require_same_settings(before, after, migration_id)


async def require_same_session(connection: asyncpg.Connection, before: Standing, migration_id: str) -> None:
    """Raise `BrokenMigrationError` when the migration left the session changed, or a transaction open."""
    if connection.is_in_transaction():
        raise BrokenMigrationError(f"{migration_id} left a transaction open: what begins one has to end it.")
    after = _read(await connection.fetchrow(_STANDING, LOCK_KEY))
    _require_same_settings(before, after, migration_id)


def _require_same_settings(before: Standing, after: Standing, migration_id: str) -> None:
    for name, old, new in zip(_KEPT, before.settings, after.settings, strict=True):
        if old != new:
            raise BrokenMigrationError(
                f"{migration_id} changed {name} from {old!r} to {new!r} and left it so: its record, and the "
                f"migrations after it, would go astray. It is not recorded. Let it put {name} back at its "
                f"end, or do without (name schemas in full), then run the command again."
            )


def _read(row: asyncpg.Record | None) -> Standing:
    if row is None or not row["is_locked"]:
        raise lost_lock()
    return Standing(row["transaction"], tuple(row["settings"]))


def _interval(seconds: float) -> str:
    # To PostgreSQL, 0 is no limit: a fraction of a millisecond must not become that.
    return f"{max(1, round(seconds * 1000)) if seconds else 0}ms"
