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


class DatabaseExhaustedError(DatabaseUnavailableError):
    """PostgreSQL can't write or read its files: look whether its disk is full, and into its log."""


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
    """The connection ended during COMMIT: the work may be committed or not, so look before trying again.

    It is never run again by itself, for that could do everything twice.
    """


class TransactionFailedError(DatabaseError):
    """Nothing is committed, for a part failed and its error was swallowed: let it out, or use a savepoint."""


class TransactionMisuseError(DatabaseError):
    """The transaction was used in a way that could not keep its promise."""


class TransactionEndedError(TransactionMisuseError):
    """The transaction was over before its block, so what the block did is committed in part, or undone.

    SQL that ends it hides where it is not looked for, or the driver's own object was used. Nothing more is
    known: look at the data.
    """


class HalfKeyError(DatabaseError):
    """The row is told by several columns, and this would go by one: use insert(), or where() on all of them.

    `table` is the table's class, `key` the columns of its key.
    """

    def __init__(self, *, table: str = "", key: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.table = table
        self.key = key

    def __str__(self) -> str:
        return (
            f"{super().__str__()} ({self.table}: {', '.join(self.key)})" if self.table else super().__str__()
        )


class ConstraintError(DatabaseError):
    """A row breaks a rule of the schema.

    `constraint`, `table` and `column` name it as far as PostgreSQL does; the values stay on `__cause__`.
    """

    def __init__(self, *, constraint: str = "", table: str = "", column: str = "") -> None:
        super().__init__()
        self.constraint = constraint
        self.table = table
        self.column = column

    def __str__(self) -> str:
        where = [f"{name} {value}" for name, value in vars(self).items() if value]
        return f"{super().__str__()} ({', '.join(where)})" if where else super().__str__()


def _default_message(error: type[DatabaseError]) -> str:
    return (inspect.getdoc(error) or error.__name__).split("\n\n")[0]
