"""The corrected transaction: however it ends, its connection goes back, its task is free, no half is kept.

Piccolo 1.38's own leaks its connection, and turns the task's next transaction into autocommit, when BEGIN,
COMMIT or ROLLBACK fails or is cancelled: docs/decisions/0020-corrected-transaction.md has the cases.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from piccolo.engine.postgres import PostgresTransaction  # noqa: TID251 - the subclass that corrects it

from sherpa.db import pool
from sherpa.db.errors import (
    CommitOutcomeUnknownError,
    ConnectionLostError,
    TransactionEndedError,
    TransactionFailedError,
    TransactionMisuseError,
)
from sherpa.db.savepoint import Savepoint
from sherpa.db.translation import translate, translated, was_sent
from sherpa.telemetry.logging import get_logger

if TYPE_CHECKING:
    from sherpa.db.postgres import PooledEngine

log = get_logger(__name__)

type Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Transaction(PostgresTransaction):
    """A transaction for one `async with` block; inside another one's block it joins that.

    A joined block that fails makes the whole transaction fail, even where its error is swallowed on the way:
    COMMIT then raises TransactionFailedError. The driver's errors leave the block as this package's.
    """

    __slots__ = (
        "_after_commit",
        "_connection",
        "_ended",
        "_isolation",
        "_lent",
        "_readonly",
        "_savepoints",
        "_token",
        "failure",
        "is_committed",
        "is_left",
        "root",
    )

    engine: PooledEngine

    def __init__(
        self,
        engine: PooledEngine,
        *,
        allow_nested: bool = True,
        isolation: Isolation | None = None,
        readonly: bool = False,
        on: PoolConnectionProxy | None = None,
    ) -> None:
        super().__init__(engine, allow_nested=allow_nested)
        self._lent = on
        self._after_commit: list[Callable[[], None]] = []
        self._isolation = isolation
        self._readonly = readonly
        self._connection: PoolConnectionProxy | None = None
        self._ended = False
        self._savepoints: dict[str, Savepoint] = {}
        self.root: Transaction = self
        self.failure: BaseException | None = None
        self.is_committed = False
        self.is_left = False

    @property
    def connection(self) -> PoolConnectionProxy:
        """The asyncpg connection, for statements without Piccolo; TransactionMisuseError after the end."""
        return self.check_open()

    def check_open(self) -> PoolConnectionProxy:
        """Return the connection, or raise TransactionMisuseError when the transaction is over."""
        if self._connection is None or self._ended or self.is_left:
            raise TransactionMisuseError(
                "This transaction is over, so nothing can be done in it. Leave its block after commit() and"
                " rollback(), and wait inside it for the tasks that were started there."
            )
        return self._connection

    async def __aenter__(self) -> Transaction:  # noqa: PYI034 - a joined block gives the one it joins
        if self._connection is not None or self.is_left:
            raise TransactionMisuseError("A transaction serves one `async with`: ask for another one.")
        current = self.engine.current_transaction.get()
        if current is None:
            await self._start()
        else:
            self._join(current)
        self._token = self.engine.current_transaction.set(self)
        return self.root

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        # Before anything can go wrong: this task, and those it started, are in no transaction any longer.
        self.is_left = True
        self.engine.current_transaction.reset(self._token)
        if self._connection is not None:
            await self._finish(self._connection, exception)
        elif exception is not None:
            self.root.failure = exception
        if exception is not None and (replacement := translate(exception)) is not None:
            raise replacement from exception
        return False

    async def commit(self) -> None:
        """Commit now, and do nothing more in the block; leaving the block commits by itself.

        Raises TransactionFailedError, TransactionConflictError or the constraint's error where nothing was
        committed, and CommitOutcomeUnknownError where only a look at the data can tell. On a lent connection
        it is refused: TransactionMisuseError.
        """
        self._check_own()
        await self._commit(self.connection)

    async def rollback(self) -> None:
        """Roll back now, and do nothing more in the block; an error leaving the block does it by itself.

        On a lent connection it is refused: TransactionMisuseError.
        """
        self._check_own()
        with translated():
            await self._rollback(self.connection)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the whole transaction has committed; it must not wait for anything.

        It is called, too, when a part that asked for it was undone. What it raises is logged and no more.
        """
        self.root._after_commit.append(callback)

    async def savepoint(self, name: str | None = None) -> Savepoint:
        """Set a savepoint to return to; `part()` does both by itself."""
        point = Savepoint((await super().savepoint(name)).name, self)
        self._savepoints[point.name] = point
        return point

    async def rollback_to(self, savepoint_name: str) -> None:
        """Undo what was done since the savepoint of that name was set."""
        if (point := self._savepoints.get(savepoint_name)) is None:
            raise TransactionMisuseError(f"This transaction has set no savepoint {savepoint_name!r}.")
        await point.rollback_to()

    @asynccontextmanager
    async def part(self) -> AsyncIterator[Transaction]:
        """Run the block so that its failure undoes the block alone: the transaction can go on without it."""
        point = await self.savepoint()
        try:
            with translated():
                yield self
                self._check_whole(since=point)
                await point.release()
        except BaseException:
            await self._undo(point)
            raise

    def _check_own(self) -> None:
        """Raise TransactionMisuseError where somebody else has put work into this transaction."""
        if self._lent is not None:
            raise TransactionMisuseError(
                "This transaction is ended by whoever opened it: return to commit, or raise to roll back."
            )

    def _check_whole(self, *, since: Savepoint) -> None:
        """Raise TransactionFailedError where a joined block failed and its error was swallowed."""
        if self.failure is not since.failure:
            raise TransactionFailedError from self.failure

    async def _start(self) -> None:
        self._connection = self._lent or await self.engine.connections.acquire()
        try:
            with translated():
                await self._begin(self._connection)
        except BaseException:
            # BEGIN may be on its way or done: only the end of the session makes sure that nothing stays open.
            self.is_left = True
            self.engine.connections.discard(self._connection)
            raise

    async def _begin(self, connection: PoolConnectionProxy) -> None:
        self.transaction = connection.transaction(isolation=self._isolation, readonly=self._readonly)
        await self.transaction.start()
        if self.engine.transaction_settings:
            await connection.execute(self.engine.transaction_settings)

    def _join(self, current: Transaction) -> None:
        if self._lent is not None:
            raise TransactionMisuseError(
                "A transaction on a lent connection is none of another: open it outside of any other."
            )
        if self._isolation not in {None, current._isolation} or (self._readonly and not current._readonly):
            raise TransactionMisuseError(
                "A transaction inside another one joins it and can't ask for an isolation of its own:"
                " ask for it in the outermost one."
            )
        self.root = current

    async def _finish(self, connection: PoolConnectionProxy, exception: BaseException | None) -> None:
        try:
            if self._ended:
                return
            if exception is None:
                await self._commit(connection)
            elif pool.is_alive(connection):
                if isinstance(exception, Exception):
                    await self._check_open_there(connection, exception)
                await self._rollback_quietly(connection)
        finally:
            if self._lent is None:
                await self.engine.connections.release(connection)

    async def _check_open_there(self, connection: PoolConnectionProxy, cause: BaseException | None) -> None:
        """Raise TransactionEndedError where no transaction is open any more: that costs no round trip."""
        if not pool.is_alive(connection) or connection.is_in_transaction():
            return
        self._ended = True
        # Else the driver would take the session's next transaction for a part of this one. It may know.
        with suppress(asyncpg.InterfaceError, asyncpg.PostgresError):
            await self.transaction.rollback()
        raise TransactionEndedError from cause

    async def _commit(self, connection: PoolConnectionProxy) -> None:
        await self._check_open_there(connection, self.failure)
        if self.failure is not None:
            await self._rollback_quietly(connection)
            raise TransactionFailedError from self.failure
        self._ended = True
        if not pool.is_alive(connection):
            raise ConnectionLostError  # before COMMIT was sent, so nothing is committed
        try:
            await self.transaction.commit()
        except Exception as error:
            if not _is_answer(error):
                self.engine.connections.discard(connection)
                if was_sent(error):
                    raise CommitOutcomeUnknownError from error
            with translated():
                raise
        except BaseException as interruption:
            interruption.add_note(str(CommitOutcomeUnknownError()))
            self.engine.connections.discard(connection)
            raise
        self.is_committed = True
        self._tell_committed()

    def _tell_committed(self) -> None:
        for callback in self._after_commit:
            try:
                callback()
            except Exception:  # the work is committed, whatever becomes of the news of it
                log.exception("a callback after COMMIT failed")

    async def _rollback(self, connection: PoolConnectionProxy) -> None:
        self._ended = True
        try:
            async with asyncio.timeout(pool.ANSWER_TIMEOUT_SECONDS):
                await self.transaction.rollback()
        except BaseException:
            self.engine.connections.discard(connection)
            raise

    async def _rollback_quietly(self, connection: PoolConnectionProxy) -> None:
        try:
            await self._rollback(connection)
        except Exception as error:
            # The error that made us roll back is the one to report.
            log.warning("database session ended in place of ROLLBACK", exc_info=error)

    async def _undo(self, point: Savepoint) -> None:
        """Return to the savepoint; where that fails, the session ends, and with it the whole transaction."""
        if self._ended or self._connection is None or not pool.is_alive(self._connection):
            return
        try:
            async with asyncio.timeout(pool.ANSWER_TIMEOUT_SECONDS):
                await point.rollback_to()
                await point.release()
        except BaseException as error:
            self.engine.connections.discard(self._connection)
            if not isinstance(error, Exception):
                raise
            log.warning("database session ended in place of ROLLBACK TO", exc_info=error)


def _is_answer(error: Exception) -> bool:
    """Tell whether the server itself turned COMMIT down: nothing is committed, and the session goes on."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.severity_en or error.severity) == "ERROR"
    return isinstance(error, TransactionFailedError)
