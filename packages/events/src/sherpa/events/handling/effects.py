"""One effect, one transaction: the memory that the event is done is committed with what the handler did.

Whoever gets an event twice finds its row in processed_events and does nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Final, cast
from uuid import UUID

from sherpa.db.engine import Database
from sherpa.db.errors import CommitOutcomeUnknownError, DatabaseExhaustedError
from sherpa.db.retry import is_transient
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling import logcontext
from sherpa.events.handling.errors import (
    HandlerCancelledError,
    HandlerTimeoutError,
    SessionLostError,
)
from sherpa.events.handling.failures import Failure, Failures
from sherpa.events.handling.handler import Handle, Handler, HandleSet, Kind
from sherpa.events.handling.ownership import Lane
from sherpa.events.handling.refusals import refusal_of
from sherpa.events.metrics import HandlerMetrics

_REMEMBER: Final = """
INSERT INTO processed_events (event_id, handler_name) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
"""
# Sorted, so that two that get the same events at once wait for each other one way round.
_REMEMBER_ALL: Final = """
INSERT INTO processed_events (event_id, handler_name)
SELECT event_id, $2 FROM unnest($1::uuid[]) AS event (event_id) ORDER BY event_id
ON CONFLICT DO NOTHING RETURNING event_id
"""

# A conflict with another transaction is not the event's fault; one that never ends is counted after all.
_CONFLICTS: Final = 10
_LONGEST_PAUSE_SECONDS: Final = 0.5


class Effects:
    """Runs one handler on events, each in a transaction on the lane that it is given."""

    def __init__(self, database: Database, handler: Handler, metrics: HandlerMetrics) -> None:
        self._database = database
        self._handler = handler
        self._handle = cast("Handle", handler.handle)
        self._handle_set = cast("HandleSet", handler.handle)
        self._metrics = metrics

    async def apply(self, lane: Lane, event: Received[Any]) -> None:
        """Do what the event asks for, unless it is done.

        Raises the handler's error, SessionLostError or DatabaseExhaustedError; nothing is done then.
        """

        async def once() -> None:
            async with self._database.transaction(on=lane.connection) as transaction:
                is_new = await self._do(transaction, event)
            self._count(is_new=is_new)

        await _insist(lane, once)

    async def apply_failed(
        self, lane: Lane, event: Received[Any], failure: Failure, failures: Failures
    ) -> Failure | None:
        """Do it for an event in `failures`, where it is deleted; return the one that waited behind it.

        Raises as `apply`.
        """

        async def once() -> Failure | None:
            async with self._database.transaction(on=lane.connection) as transaction:
                if not await failures.remove(transaction.connection, failure.event.event_id):
                    return None  # an operator has discarded it meanwhile
                behind = await failures.release(transaction.connection, failure.event.aggregate_id)
                is_new = await self._do(transaction, event)
            self._count(is_new=is_new)
            return behind

        return await _insist(lane, once)

    async def apply_together(self, lane: Lane, events: Sequence[Received[Any]]) -> None:
        """Do it for all the events in one transaction. Raises as `apply`; then it is done for none."""

        async def once() -> None:
            async with self._database.transaction(on=lane.connection) as transaction:
                new = await self._remember_all(transaction, events)
                if self._handler.kind is Kind.SET:
                    if new:
                        await self._call_set(transaction, new)
                else:
                    for event in new:
                        await self._call(transaction, event)
            self._metrics.handled.inc(len(new))
            self._metrics.duplicates.inc(len(events) - len(new))

        await _insist(lane, once)

    async def _do(self, transaction: Transaction, event: Received[Any]) -> bool:
        if not await transaction.connection.fetchval(_REMEMBER, event.id, self._handler.name):
            return False
        if self._handler.kind is Kind.SET:
            await self._call_set(transaction, [event])
        else:
            await self._call(transaction, event)
        return True

    def _count(self, *, is_new: bool) -> None:
        (self._metrics.handled if is_new else self._metrics.duplicates).inc()

    async def _remember_all(
        self, transaction: Transaction, events: Sequence[Received[Any]]
    ) -> list[Received[Any]]:
        rows = await transaction.connection.fetch(
            _REMEMBER_ALL, [event.id for event in events], self._handler.name
        )
        unseen: set[UUID] = {row["event_id"] for row in rows}
        new = []
        for event in events:
            if event.id in unseen:
                unseen.remove(event.id)  # it may come twice in one batch, too
                new.append(event)
        return new

    async def _call(self, transaction: Transaction, event: Received[Any]) -> None:
        token = logcontext.enter(self._handler.name, event)
        try:
            await self._timed(self._handle(transaction, event))
        finally:
            logcontext.leave(token)

    async def _call_set(self, transaction: Transaction, events: Sequence[Received[Any]]) -> None:
        if len(events) == 1:
            token = logcontext.enter(self._handler.name, events[0])
        else:
            token = logcontext.enter_set(self._handler.name, events)
        try:
            await self._timed(self._handle_set(transaction, events))
        finally:
            logcontext.leave(token)

    async def _timed(self, call: Awaitable[None]) -> None:
        started = perf_counter()
        limit = asyncio.timeout(self._handler.timeout_seconds)
        try:
            async with limit:
                await call
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise HandlerTimeoutError(
                f"{self._handler.name} took longer than {self._handler.timeout_seconds:g} s, and was stopped."
            ) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise HandlerCancelledError from error
        finally:
            self._metrics.seconds.observe(perf_counter() - started)


async def _insist[T](lane: Lane, work: Callable[[], Awaitable[T]]) -> T:
    """Return what the work returns, done again after conflicts with other transactions."""
    conflicts = 0
    while True:
        try:
            return await work()
        except DatabaseExhaustedError:
            raise  # the whole server can't write: nothing else will do better, and no event is to blame
        except CommitOutcomeUnknownError as error:
            raise SessionLostError from error  # done or not: the memory of it tells, in the next session
        except Exception as error:
            if not lane.is_alive:
                raise SessionLostError from error
            if refusal := refusal_of(error):
                raise refusal from error
            conflicts += 1
            if not is_transient(error) or conflicts == _CONFLICTS:
                raise
        await asyncio.sleep(
            random.SystemRandom().uniform(0, min(0.01 * 2**conflicts, _LONGEST_PAUSE_SECONDS))
        )
