"""What may go wrong in the database: one root, and leaves that say what happened and what to do next.

An error's docstring is its default message; the driver's own error is always on `__cause__`.
"""

import inspect
from typing import ClassVar


class DatabaseError(Exception):
    """The database could not do what was asked."""

    transient: ClassVar[bool] = False
    """True where the same transaction, run again from its start, may well succeed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or _default_message(type(self)))


class DatabaseUnavailableError(DatabaseError):
    """PostgreSQL does not accept connections now: check that it runs and can be reached from here."""

    transient = True


class DatabaseRefusedError(DatabaseError):
    """PostgreSQL answered and refused the login: trying again will not help, correct the settings."""


class DatabaseClosedError(DatabaseError):
    """The Database is not open: use it inside `async with database`, or between open() and close()."""


class PoolTimeoutError(DatabaseError):
    """No pooled connection became free in time."""


class ConnectionLostError(DatabaseError):
    """The connection to PostgreSQL ended under way, and its transaction with it."""

    transient = True


class TransactionConflictError(DatabaseError):
    """PostgreSQL rolled the transaction back in favour of another one: run it again from its start."""

    transient = True


class SchemaChangedError(DatabaseError):
    """The schema changed under a prepared statement: run the transaction again from its start."""

    transient = True


class CommitOutcomeUnknownError(DatabaseError):
    """The connection ended while COMMIT was under way: the transaction may be committed or not.

    It is not run again by itself, for that could do everything twice. Look whether the work is there.
    """


class TransactionFailedError(DatabaseError):
    """Nothing was committed: a part of the transaction failed, and its error was swallowed on the way.

    Let the error leave the transaction, or put the part that may fail in `database.savepoint()`.
    """


class TransactionMisuseError(DatabaseError):
    """The transaction was used in a way that could not keep its promise."""


class ConstraintError(DatabaseError):
    """A row breaks a rule of the schema."""

    def __init__(self, message: str | None = None, *, constraint: str = "", table: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint
        self.table = table


def _default_message(error: type[DatabaseError]) -> str:
    return inspect.getdoc(error) or error.__name__
