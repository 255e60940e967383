"""Reading a long result in parts: a server-side cursor inside a transaction."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from piccolo.engine.postgres import AsyncBatch
from piccolo.query.base import Query

if TYPE_CHECKING:
    from sherpa.db.postgres import PooledEngine


class Batch(AsyncBatch):
    """Piccolo's batch on a pooled connection, inside the open transaction or one of its own.

    Piccolo's own opens a session beside the pool, leaks it when a fetch fails, and swallows the error.
    """

    def __init__(self, engine: PooledEngine, query: Query[Any, Any], batch_size: int) -> None:
        self.engine = engine
        self.query = query
        self.batch_size = batch_size
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            transaction = await stack.enter_async_context(self.engine.transaction())
            template, arguments = self.query.querystrings[0].compile_string()
            self._cursor = await transaction.connection.cursor(template, *arguments)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return bool(await self._stack.__aexit__(exception_type, exception, traceback))
