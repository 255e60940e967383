"""Our variables in the environment: taken away before tests run, so that no one's settings reach a test."""

import os
import re

OURS = re.compile(
    r"""
    (DATABASE|REDIS|ZITADEL|OPENAI|ANTHROPIC|AI|STRIPE|RESEND|EMAIL|LOG|CORS|REQUEST|SHUTDOWN|FEATURE)_\w+
    | (ENVIRONMENT|HOST|PORT)(_FILE)?
    | PG[A-Z]+  # libpq's: asyncpg and psql read them behind our back
    """,
    re.VERBOSE,
)


def take_away() -> dict[str, str]:
    """Remove our variables, and libpq's, from this process; return what was removed."""
    return {name: os.environ.pop(name) for name in list(os.environ) if OURS.fullmatch(name)}


def give_back(taken: dict[str, str]) -> None:
    """Put removed variables back."""
    os.environ.update(taken)
