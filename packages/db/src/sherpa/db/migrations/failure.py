"""What the driver's errors mean here: the server's words, the line it points at, what to do, who has gone."""

from typing import Final

import asyncpg

DRIVER_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises when the server turns something down, or is gone."""

_ADVICE: Final[dict[str, str]] = {
    "42501": "Grant the user of DATABASE_URL this right, or migrate as the schema's owner.",
    "55P03": "Somebody held a lock for too long: end that session, or try again at a quieter time.",
    "2BP01": "What depends on it was made by no migration: remove that first, then run the command again.",
    "3F000": "Give the user a search_path with a schema that exists, and the right to create in it.",
    "25006": "Migrate the primary server, as a user whose transactions may write.",
    "25001": "A migration runs in one transaction with its record: give it transaction=False.",
    "40P01": "The application and the migration waited for each other: try again at a quieter time.",
    "42P07": "Was this schema made otherwise? `inv migrate --baseline ID` adopts one that is as ours.",
    "40001": "Somebody changed the same rows meanwhile: run the command again.",
    "53100": "The server's disk is full: make room there, then run the command again.",
    "53200": "The server is short of memory, or of room for locks: raise max_locks_per_transaction.",
    "57014": "It ran longer than statement_timeout_seconds of its file allows, or somebody cancelled it.",
}
"""SQLSTATE → what to do."""

_MEND: Final = "Mend its file, or the data it met, and run the command again."


def is_lost(connection: asyncpg.Connection, error: Exception) -> bool:
    """Tell whether the error is the connection's last, noticed by the driver or not yet.

    A server that ends a session says so, and hangs up a moment later. In between the driver takes the
    connection for open, and whatever comes next for a fault of its own.
    """
    return connection.is_closed() or isinstance(error, asyncpg.InternalClientError)


def name_end(error: Exception) -> str:
    """Return how a lost connection ended, in words."""
    # The driver's own are of the states of its protocol.
    return "the server ended it" if isinstance(error, asyncpg.InternalClientError) else str(error)


def explain(error: Exception, otherwise: str = _MEND) -> tuple[str, str]:
    """Return what went wrong, in one line or more, and what to do next: `otherwise` where nobody knows."""
    if not isinstance(error, asyncpg.PostgresError):
        return repr(error), otherwise
    facts = [f"{error.args[0]} (SQLSTATE {error.sqlstate})", *getattr(error, "__notes__", [])]
    facts += [f"{name}: {value}" for name in ("detail", "hint") if (value := getattr(error, name, None))]
    return "\n  ".join(facts), _ADVICE.get(error.sqlstate, otherwise)


def point_at(error: asyncpg.PostgresError, script: str) -> None:
    """Note on the error the line of the script that the server points at, where it points at one."""
    if position := getattr(error, "position", None):
        before = script[: int(position) - 1]
        error.add_note(f"at: {script.splitlines()[before.count(chr(10))].strip()}")
