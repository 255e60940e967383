"""What a run inherits from whoever started it, and no test should: our variables, and deafness to Ctrl-C."""

import os
import re
import signal

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


def hear_interrupts() -> None:
    """Let Ctrl-C be heard by this process, and by what tests start, which inherits it.

    A script's background jobs (`.ci/run &`) ignore it: a run that is interrupted would leave its servers.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
