"""The database as the rest of the project sees it: open it, run transactions and queries, close it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from contextvars import Context, copy_context
from types import TracebackType
from typing import Self

from asyncpg.pool import PoolConnectionProxy

from sherpa.config import DatabaseSettings
from sherpa.db import binding
from sherpa.db.errors import TransactionMisuseError
from sherpa.db.pool import ConnectionPool, PoolStats
from sherpa.db.postgres import PooledEngine
from sherpa.db.retry import ATTEMPTS, WITHIN_SECONDS, run_again
from sherpa.db.transaction import Isolation, Transaction
from sherpa.db.translation import translated

OPEN_WITHIN_SECONDS = 30.0
CLOSE_GRACE_SECONDS = 5.0


class Database:
    """PostgreSQL, reached through one pool, with transactions that keep their promise.

    `async with Database(settings, application_name="sherpa-api") as database:` opens and closes it.
    It belongs to the event loop that opened it. Making one connects to nothing.
    """

    def __init__(self, settings: DatabaseSettings, *, application_name: str) -> None:
        self._connections = ConnectionPool(settings, application_name)
        self.engine = PooledEngine(self._connections)

    async def open(self, *, within_seconds: float = OPEN_WITHIN_SECONDS) -> None:
        """Open the pool, waiting for a server that starts, and bind the tables to it.

        Raises DatabaseUnavailableError when the time is over, DatabaseRefusedError at once for a bad login.
        """
        await self._connections.open(within_seconds)
        binding.bind(self.engine)

    async def close(self, *, grace_seconds: float = CLOSE_GRACE_SECONDS) -> None:
        """Close the pool; connections in use are waited for, at most so long, then ended."""
        async with AsyncExitStack() as closing:  # from the last to the first, whatever one of them raises
            closing.callback(binding.release, self.engine)
            closing.push_async_callback(self._connections.close, grace_seconds)
            closing.push_async_callback(self.engine.close_companions)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def transaction(
        self,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        on: PoolConnectionProxy | None = None,
    ) -> Transaction:
        """Return a transaction to enter with `async with`: committed at the block's end, undone by an error.

        Inside another one's block it joins that, and its failure is the failure of both. `on` is a connection
        that `connection()` lent: the session, its locks and its settings are then the caller's own, and
        outlast the transaction.
        """
        return self.engine.transaction(isolation=isolation, readonly=readonly, on=on)

    def savepoint(self) -> AbstractAsyncContextManager[Transaction]:
        """Return a part of the open transaction that may fail alone: its error undoes the block and no more.

        Raises TransactionMisuseError outside of a transaction.
        """
        current = self.engine.current_transaction.get()
        if current is None:
            raise TransactionMisuseError("A savepoint is a part of a transaction: open one around it.")
        return current.part()

    async def retry[T](
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        isolation: Isolation | None = None,
        attempts: int = ATTEMPTS,
        within_seconds: float = WITHIN_SECONDS,
    ) -> T:
        """Return what `work` returns, called in a fresh transaction, again after a transient failure.

        `work` may run several times, so it does nothing that a rollback can't undo. Raises
        TransactionMisuseError inside an open transaction: a part of one can't be run again alone.
        """
        if self.engine.current_transaction.get() is not None:
            raise TransactionMisuseError("retry() opens its own transaction: call it outside of any other.")
        return await run_again(
            lambda: self.transaction(isolation=isolation),
            work,
            attempts=attempts,
            within_seconds=within_seconds,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """Lend a pooled asyncpg connection, which is never that of the open transaction.

        Raises PoolTimeoutError, DatabaseUnavailableError, DatabaseClosedError; the block's driver errors
        leave it as this package's.
        """
        async with self._connections.connection() as connection:
            with translated():
                yield connection

    def pool_stats(self) -> PoolStats:
        """Return the pool's sizes now, for health and metrics: it touches nothing."""
        return self._connections.stats()

    def outside_transaction(self) -> Context:
        """Return a copy of the context for a task that must not share the open transaction.

        `asyncio.create_task(work(), context=database.outside_transaction())`
        """
        context = copy_context()
        context.run(self.engine.current_transaction.clear)
        return context
