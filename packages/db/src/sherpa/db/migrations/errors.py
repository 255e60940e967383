"""What may go wrong while migrating. Each message says what happened, where, and what to do next."""

from collections.abc import Sequence

from sherpa.db.errors import DatabaseError

ROLLED_BACK = "It was rolled back, nothing of it remains."


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
    """A migration failed; the original error is the `__cause__`.

    `migration_id` names it, `direction` is "forwards" or "backwards"; `remains` says what is left of it.
    """

    def __init__(
        self, migration_id: str, direction: str, reason: str, advice: str, remains: str = ROLLED_BACK
    ) -> None:
        self.migration_id = migration_id
        self.direction = direction
        super().__init__(f"Migration {migration_id} failed {direction}: {reason}\n{remains} {advice}")


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


class IndexBusyError(MigrationError):
    """Somebody else is building the index that a migration is to build."""


class NamingError(MigrationError):
    """A new migration can't be called `words`."""

    def __init__(self, words: str, reason: str) -> None:
        self.words = words
        self.reason = reason
        super().__init__(f"A migration can't be called {words[:80]!r}: {reason}.")


class UnwritableError(MigrationError):
    """A migration's file can't be written."""

    def __init__(self, place: str, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(
            f"{place} can't be written: {reason}. A new migration belongs to the source code: run this in a "
            "checkout of yours."
        )


class PendingError(MigrationError):
    """What the database lacks has to be applied first."""


class StuckError(MigrationError):
    """A data migration could not have the locks of its rows for too long; the batches before stay done."""


class EndedTransactionError(BrokenMigrationError):
    """A migration has a COMMIT or ROLLBACK of its own."""

    def __init__(self, migration_id: str) -> None:
        self.migration_id = migration_id
        super().__init__(
            f"{migration_id} ended the runner's transaction by a COMMIT or ROLLBACK of its own. "
            f"What it did before that may stay, and is not recorded: undo it by hand, take the COMMIT out, "
            f"run the command again."
        )
