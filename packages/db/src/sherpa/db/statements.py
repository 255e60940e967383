"""Which statements can change the session that they run in, beyond the end of their transaction."""

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
