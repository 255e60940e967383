"""Which statements can change the session beyond the end of their transaction, and which are that end."""

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final

# Only what surely leaves nothing behind is let through: whatever is not recognised counts as a change.
_PLAIN: Final = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE"
    r"|BEGIN|START|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|SET\s+LOCAL)\b",
    re.IGNORECASE,
)
# The ways of a plain statement to settings and to locks of the session; that of transactions is caught too.
_REACHING_OUT: Final = re.compile(r"set_config|pg_settings|advisory", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r";\s*\S")

# What is not closed reaches to the end.
_QUOTED: Final = re.compile(
    r"""\$(\w*)\$.*?(?:\$\1\$|\Z)|\b[Ee]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|'(?:[^']|'')*+(?:'|\Z)"""
    r"""|"[^"]*(?:"|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
_OF_TRANSACTIONS: Final = ("COMMIT", "END", "ABORT", "PREPARE", "ROLLBACK")
# Not END after a semicolon: there it may be the end of a function's body.
_END: Final = re.compile(
    r"^[\s;]*END\b"
    r"|(?:^|;)\s*(?:COMMIT|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE,
)


# What asyncpg keeps prepared. Longer texts hold their values, and are seldom seen again.
_LONGEST_KEPT: Final = 15 * 1024


def _remembered(judge: Callable[[str], bool]) -> Callable[[str], bool]:
    """Remember the answers for the texts seen last, but for long ones: thousands of these take gigabytes."""
    remembering = lru_cache(maxsize=2048)(judge)

    @wraps(judge)
    def answer(statement: str) -> bool:
        return remembering(statement) if len(statement) <= _LONGEST_KEPT else judge(statement)

    return answer


@_remembered
def leaves_session_alone(statement: str) -> bool:
    """Tell whether settings, session locks, LISTEN and open cursors are surely as they were before.

    A function that the statement calls is not looked into: those of our schema must not change the session,
    and a test asks the catalogue.
    """
    return (
        _PLAIN.match(statement) is not None
        and _REACHING_OUT.search(statement) is None
        and _SEPARATOR.search(statement) is None
    )


@_remembered
def ends_transaction(statement: str) -> bool:
    """Tell whether one of the statements in the text ends the transaction that it runs in.

    As END behind another statement it finds none.
    """
    upper = statement.upper()
    if not any(word in upper for word in _OF_TRANSACTIONS):  # in a long text far faster than a pattern
        return False
    return _END.search(_QUOTED.sub(" ", statement)) is not None
