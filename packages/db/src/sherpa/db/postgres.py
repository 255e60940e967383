"""Piccolo's engine over our pool: every query and every transaction of the tables goes through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol, cast, override

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from piccolo.engine.postgres import PostgresEngine
from piccolo.query.base import Query
from piccolo.querystring import QueryString

from sherpa.db.batch import Batch
from sherpa.db.current import CurrentTransaction
from sherpa.db.dsn import transaction_settings
from sherpa.db.errors import DatabaseError
from sherpa.db.pool import ConnectionPool
from sherpa.db.transaction import Isolation, Transaction
from sherpa.db.translation import translated

type Rows = list[asyncpg.Record]


class Companion(Protocol):
    """What works beside one Database's transactions, and ends with it."""

    async def close(self) -> None:
        """Finish what is under way, while the pool is still open. It must not take long."""
        ...


class PooledEngine(PostgresEngine):
    """A PostgresEngine that takes its connections from a ConnectionPool, and refuses while that is closed."""

    __slots__ = ("_companions", "connections", "transaction_settings")

    current_transaction: CurrentTransaction  # type: ignore[assignment]  # the same three methods, mended

    def __init__(self, connections: ConnectionPool) -> None:
        self.connections = connections
        super().__init__(config=connections.options)
        self.pool = cast("asyncpg.Pool", connections)  # Piccolo only asks whether there is one
        self.current_transaction = CurrentTransaction()
        self.transaction_settings = transaction_settings(connections.settings)
        self._companions: dict[object, Companion] = {}

    def companion[C: Companion](self, kind: Callable[[PooledEngine], C]) -> C:
        """Return this engine's one companion of the kind, made when it is first asked for."""
        if kind not in self._companions:
            self._companions[kind] = kind(self)
        return cast("C", self._companions[kind])

    async def close_companions(self) -> None:
        """Close all companions; whoever asks for one afterwards gets another."""
        async with AsyncExitStack() as closing:  # all of them, whatever one of them raises
            while self._companions:
                closing.push_async_callback(self._companions.popitem()[1].close)

    @override
    async def check_version(self) -> None:
        """Ask nothing: making an engine must not open a connection. Piccolo's own does, at import."""

    @override
    async def start_connection_pool(self, **_options: object) -> None:
        """Refuse: the pool is opened by `Database.open`, from the settings alone."""
        raise DatabaseError("Open the pool with Database.open(): it takes its sizes from the settings.")

    @override
    async def close_connection_pool(self) -> None:
        """Refuse: the pool is closed by `Database.close`."""
        raise DatabaseError("Close the pool with Database.close().")

    @override
    def transaction(
        self,
        allow_nested: bool = True,
        *,
        isolation: Isolation | None = None,
        readonly: bool = False,
        on: PoolConnectionProxy | None = None,
    ) -> Transaction:
        """Return a transaction to enter with `async with`; inside another one it joins that."""
        return Transaction(self, allow_nested=allow_nested, isolation=isolation, readonly=readonly, on=on)

    @override
    async def batch(self, query: Query[Any, Any], batch_size: int = 100, node: str | None = None) -> Batch:
        """Return a batch to enter with `async with`; `node` is not supported, there is one server."""
        return Batch(self, query, batch_size)

    @override
    async def get_new_connection(self) -> asyncpg.Connection:
        """Open a connection beside the pool. The caller closes it."""
        return await self.connections.connect()

    @override
    async def run_querystring(self, querystring: QueryString, in_pool: bool = True) -> Rows:
        """Run a query in the open transaction, else in autocommit on a connection of the pool."""
        with translated():
            rows: Rows = await super().run_querystring(querystring, in_pool)
        return rows

    @override
    async def run_ddl(self, ddl: str, in_pool: bool = True) -> Rows:
        """Run a statement that defines something, as `run_querystring` does."""
        with translated():
            rows: Rows = await super().run_ddl(ddl, in_pool)
        return rows

    @override
    async def _run_in_pool(self, query: str, args: Sequence[Any] | None = None) -> Rows:
        async with self.connections.connection() as connection:
            return await connection.fetch(query, *(args or ()))

    @override
    async def _run_in_new_connection(self, query: str, args: Sequence[Any] | None = None) -> Rows:
        connection = await self.get_new_connection()
        try:
            return await connection.fetch(query, *(args or ()))
        finally:
            await connection.close()
