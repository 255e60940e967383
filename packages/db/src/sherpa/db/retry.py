"""Running a whole transaction again when PostgreSQL, not the work, was the reason that it failed."""

from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from sherpa.db.errors import DatabaseError
from sherpa.db.transaction import Transaction
from sherpa.db.translation import translate
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

# Ten attempts with full jitter from 50 ms, doubling up to 2 s, wait 5 s on average and 9 s at most: enough
# for a conflict to pass and for a server to restart, short enough for a request that waits.
ATTEMPTS = 10
WITHIN_SECONDS = 15.0
_WAIT = wait_random_exponential(multiplier=0.05, max=2.0)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same transaction, run again from its start, may well succeed.

    So it is after a serialization failure, a deadlock, a shutdown or restart of the server, a lost or refused
    connection. It is not after CommitOutcomeUnknownError: the work may be done already. Nor after a
    ConnectionError as such: this package has its own errors, so that is from somewhere else.
    """
    meaning = error if isinstance(error, DatabaseError) else translate(error)
    return meaning is not None and meaning.transient


async def run_again[T](
    begin: Callable[[], Transaction],
    work: Callable[[Transaction], Awaitable[T]],
    *,
    attempts: int = ATTEMPTS,
    within_seconds: float = WITHIN_SECONDS,
) -> T:
    """Call `work` inside a fresh transaction, and again while it fails transiently; return what it returns.

    No attempt begins later than `within_seconds` after the first. Raises the last attempt's error; also one
    that is transient, when the work had committed by itself before: what is done is not done again.
    """
    transaction: Transaction

    async def run_once() -> T:
        nonlocal transaction
        transaction = begin()
        async with transaction:
            return await work(transaction)

    def may_run_again(error: BaseException) -> bool:
        return is_transient(error) and not transaction.is_committed

    return await AsyncRetrying(
        stop=stop_after_attempt(attempts) | stop_before_delay(within_seconds),
        wait=_WAIT,
        retry=retry_if_exception(may_run_again),
        before_sleep=_log_attempt,
        reraise=True,
    )(run_once)


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "transaction failed, trying again",
        attempt=state.attempt_number,
        reason=str(error),
        retry_in_seconds=round(state.upcoming_sleep, 3),
    )
