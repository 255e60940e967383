"""What may go wrong while migrating. Each message says what happened, where, and what to do next."""

from collections.abc import Sequence

from sherpa.db.errors import DatabaseError


class MigrationError(DatabaseError):
    """The schema could not be migrated."""


class ConnectionFailedError(MigrationError):
    """The database could not be reached, or it refused us."""


class LockHeldError(MigrationError):
    """Somebody else has been migrating this database for longer than we wait."""


class HistoryError(MigrationError):
    """The database's history and the migration files contradict each other."""


class BrokenMigrationError(MigrationError):
    """A migration file is not what the runner needs."""


class MigrationFailedError(MigrationError):
    """A migration failed and was rolled back; the original error is the `__cause__`.

    `migration_id` names it, `direction` is "forwards" or "backwards".
    """

    def __init__(self, migration_id: str, direction: str, reason: str, advice: str) -> None:
        self.migration_id = migration_id
        self.direction = direction
        super().__init__(
            f"Migration {migration_id} failed {direction}: {reason}\n"
            f"It was rolled back, nothing of it remains. {advice}"
        )


class TargetError(MigrationError):
    """The migration asked for is unknown, ambiguous, or lies the other way."""


class UnknownMigrationError(TargetError):
    """No migration has this ID; `known` lists those that exist."""

    def __init__(self, wanted: str, known: Sequence[str]) -> None:
        self.wanted = wanted
        self.known = tuple(known)
        super().__init__(f"No migration is called {wanted!r}. Known: {', '.join(known) or 'none'}.")


class AmbiguousMigrationError(TargetError):
    """A shortened ID fits more than one migration; `candidates` lists them."""

    def __init__(self, wanted: str, candidates: Sequence[str]) -> None:
        self.wanted = wanted
        self.candidates = tuple(candidates)
        super().__init__(f"{wanted!r} may be any of {', '.join(candidates)}: write more of the ID.")


class IrreversibleError(MigrationError):
    """A migration on the way back has none; nothing was reverted."""


class DriftError(MigrationError):
    """The database's schema is not the one that is declared."""


class ScratchError(MigrationError):
    """The schema can't be built anew for a comparison."""
