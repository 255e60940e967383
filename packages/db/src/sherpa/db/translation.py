"""The one place where the driver's errors become this package's."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from sherpa.db.constraints import violation
from sherpa.db.errors import (
    ConnectionLostError,
    DatabaseClosedError,
    DatabaseError,
    DatabaseExhaustedError,
    DatabaseUnavailableError,
    SchemaChangedError,
    TransactionConflictError,
)

# SQLSTATE → what it means to the caller. Source: PostgreSQL's manual, appendix A.
_BY_STATE: dict[str, type[DatabaseError]] = {
    "40001": TransactionConflictError,  # serialization failure
    "40P01": TransactionConflictError,  # deadlock
    "57P01": ConnectionLostError,  # the administrator ended the session, or the server stops
    "57P02": ConnectionLostError,  # another server process crashed
    "57P05": ConnectionLostError,  # idle session timeout
    "57P03": DatabaseUnavailableError,  # starting up or shutting down
    "53300": DatabaseUnavailableError,  # too many connections
}
_CONNECTION_CLASS = "08"
# The disk is full, or files can't be read or written. Lack of memory is not among them: for that, a statement
# may be to blame, which fails the same way each time.
_EXHAUSTED = ("53100", "58")
_INTEGRITY_CLASS = "23"

# asyncpg reports a lost connection to the next caller as InterfaceError, which also stands for wrong use. A
# pooled one that ended while it was held is "released": the pool has taken its place back.
_LOST = ("connection is closed", "connection was closed", "has been released back to the pool")
# The server's last words have been read, the end of the stream has not: the next statement is not even sent.
_LAST_WORDS = "another operation (2) is in progress"
_CLOSING = ("pool is closing", "pool is closed")


def translate(error: BaseException) -> DatabaseError | None:
    """Return this package's error for the driver's one, None where the original says it best."""
    match error:
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            return SchemaChangedError()
        case asyncpg.PostgresError():
            return _translate_state(error)
        case asyncpg.InterfaceError():
            return _translate_interface(str(error))
        case asyncpg.InternalClientError() if _LAST_WORDS in str(error):
            return ConnectionLostError()
        case _:
            return None


def was_sent(error: Exception) -> bool:
    """Tell whether the statement that failed so may have reached the server."""
    return not isinstance(error, asyncpg.InterfaceError) and _LAST_WORDS not in str(error)


@contextmanager
def translated() -> Iterator[None]:
    """Let the block's driver errors leave it as this package's, the original on `__cause__`."""
    try:
        yield
    except Exception as error:
        replacement = translate(error)
        if replacement is None:
            raise
        raise replacement from error


def _translate_state(error: asyncpg.PostgresError) -> DatabaseError | None:
    state: str = error.sqlstate or ""
    if state.startswith(_INTEGRITY_CLASS):
        return violation(error)
    if state.startswith(_CONNECTION_CLASS):
        return ConnectionLostError()
    if known := _BY_STATE.get(state):
        return known()
    return DatabaseExhaustedError() if state.startswith(_EXHAUSTED) else None


def _translate_interface(message: str) -> DatabaseError | None:
    if any(text in message for text in _LOST):
        return ConnectionLostError()
    if any(text in message for text in _CLOSING):
        return DatabaseClosedError()
    return None
