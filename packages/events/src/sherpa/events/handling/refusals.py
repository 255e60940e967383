"""What PostgreSQL refuses to our role, or to everybody: no event's fault, and mended by a GRANT alone."""

from typing import Final

import asyncpg

from sherpa.events.handling.errors import NotAllowedError

# Policies of rows and functions raise the same SQLSTATE, by what an event says: those are its own faults.
_MISSING_RIGHT: Final = "aclcheck_error"


def refusal_of(error: Exception) -> NotAllowedError | None:
    """Return what to raise where this error would meet every event: a missing right, a read-only server."""
    match error:
        case NotAllowedError():
            return error
        case asyncpg.ReadOnlySQLTransactionError():
            return NotAllowedError(f"{error}. Events wait until PostgreSQL lets this process write.")
        case asyncpg.InsufficientPrivilegeError() if _is_of_the_role(error):
            return NotAllowedError(
                f"{error}. Grant this process's role the rights that docs/deployment.md lists, and those on"
                " what its handlers write."
            )
        case _:
            return None


def _is_of_the_role(error: asyncpg.InsufficientPrivilegeError) -> bool:
    return str(error.server_source_function).startswith(_MISSING_RIGHT)
