"""How long a failed event waits for its next attempt: longer each time, and not all of them together."""

import random
from datetime import timedelta

from sherpa.events.handling.handler import Backoff, Handler

_RANDOM = random.SystemRandom()
# Half of the wait is certain, so that a handler which failed has time; the other half spreads the attempts.
_CERTAIN = 0.5


def longest_wait(backoff: Backoff, attempts: int) -> timedelta:
    """Return the longest wait after so many attempts (1 and more)."""
    try:
        seconds = backoff.first_seconds * backoff.factor ** (attempts - 1)
    except OverflowError:
        seconds = backoff.most_seconds
    return timedelta(seconds=min(seconds, backoff.most_seconds))


def next_wait(backoff: Backoff, attempts: int) -> timedelta:
    """Return how long to wait after so many attempts, with jitter."""
    return longest_wait(backoff, attempts) * _RANDOM.uniform(_CERTAIN, 1.0)


def longest_retries(handler: Handler) -> timedelta:
    """Return how long it may take until the handler gives an event up: its waits and its calls."""
    waits = (longest_wait(handler.backoff, attempt) for attempt in range(1, handler.attempts))
    return sum(waits, start=timedelta(seconds=handler.timeout_seconds * handler.attempts))
