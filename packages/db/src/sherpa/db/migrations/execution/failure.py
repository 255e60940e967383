"""What a failed migration's error says: the server's words, the line it points at, and what to do."""

from typing import Final

import asyncpg

_ADVICE: Final[dict[str, str]] = {
    "42501": "Grant the user of DATABASE_URL this right, or migrate as the schema's owner.",
    "55P03": "Somebody held a lock for too long: end that session, or try again at a quieter time.",
    "2BP01": "What depends on it was made by no migration: remove that first, then run the command again.",
    "3F000": "Give the user a search_path with a schema that exists, and the right to create in it.",
    "25006": "Migrate the primary server, as a user whose transactions may write.",
    "25001": "A migration runs in one transaction with its record: give it transaction=False.",
    "40P01": "The application and the migration waited for each other: try again at a quieter time.",
    "42P07": "Was this schema made otherwise? `inv migrate --baseline ID` adopts one that is as ours.",
    "57014": "It ran longer than statement_timeout_seconds of its file allows, or somebody cancelled it.",
}
"""SQLSTATE → what to do."""

_MEND: Final = "Mend its file, or the data it met, and run the command again."


def explain(error: Exception) -> tuple[str, str]:
    """Return why a migration failed, in one line or more, and what to do next."""
    if not isinstance(error, asyncpg.PostgresError):
        return repr(error), _MEND
    facts = [f"{error.args[0]} (SQLSTATE {error.sqlstate})", *getattr(error, "__notes__", [])]
    facts += [f"{name}: {value}" for name in ("detail", "hint") if (value := getattr(error, name, None))]
    return "\n  ".join(facts), _ADVICE.get(error.sqlstate, _MEND)


def point_at(error: asyncpg.PostgresError, script: str) -> None:
    """Note on the error the line of the script that the server points at, where it points at one."""
    if position := getattr(error, "position", None):
        before = script[: int(position) - 1]
        error.add_note(f"at: {script.splitlines()[before.count(chr(10))].strip()}")
