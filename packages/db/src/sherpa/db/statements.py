"""Which statements can change the session beyond the end of their transaction, and which are that end."""

import re
from functools import lru_cache
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
    r"""\$(\w*)\$.*?(?:\$\1\$|\Z)|'(?:[^']|'')*+(?:'|\Z)|"[^"]*(?:"|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)""",
    re.DOTALL,
)
_OF_TRANSACTIONS: Final = re.compile(r"\b(?:COMMIT|END|ABORT|PREPARE|ROLLBACK)\b", re.IGNORECASE)
# Not END after a semicolon: there it may be the end of a function's body.
_END: Final = re.compile(
    r"^[\s;]*END\b"
    r"|(?:^|;)\s*(?:COMMIT|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=2048)
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


@lru_cache(maxsize=2048)
def ends_transaction(statement: str) -> bool:
    """Tell whether one of the statements in the text ends the transaction that it runs in.

    It reads no SQL to the letter: behind an escaped quote, or as END behind another statement, it finds none.
    """
    if _OF_TRANSACTIONS.search(statement) is None:
        return False
    return _END.search(_QUOTED.sub(" ", statement)) is not None
