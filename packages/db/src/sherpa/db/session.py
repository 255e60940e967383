"""The pooled connection: it retires at its age, is reset when it must be, and owns up to a failed COMMIT."""

import asyncio
import weakref
from typing import Any, override

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sherpa.db.errors import TransactionFailedError, TransactionMisuseError
from sherpa.db.statements import ends_transaction, leaves_session_alone


class Session(asyncpg.Connection):
    """An asyncpg connection that knows its lifetime, and what it has to forget before the next one uses it.

    asyncpg resets a connection with a round trip whenever it is given back, a third of a short read's cost.
    Here it does so after any statement that may have changed the session (docs/decisions/0023-slim-reset.md).
    """

    is_expired = False
    _is_changed = False
    # asyncpg's own, None while nobody has the connection: it has no public way to ask.
    _proxy: PoolConnectionProxy | None
    # asyncpg's own, too: the transaction that is open, None from just before its COMMIT or ROLLBACK is sent.
    _top_xact: object | None

    def retire_after(self, seconds: float) -> None:
        """Close the connection in so many seconds; if it is in use then, whoever releases it closes it."""
        timer = asyncio.get_running_loop().call_later(seconds, _retire, weakref.ref(self))
        self.add_termination_listener(lambda _: timer.cancel())

    @override
    async def execute(self, query: str, *arguments: object, timeout: float | None = None) -> str:
        """Execute as asyncpg does, but raise TransactionFailedError for a COMMIT that PostgreSQL turned down.

        COMMIT in a transaction with a failed statement is no error to PostgreSQL: it answers ROLLBACK.
        """
        self._note(query)
        status: str = await super().execute(query, *arguments, timeout=timeout)
        if status == "ROLLBACK" and query.lstrip()[:6].upper() == "COMMIT":
            raise TransactionFailedError
        return status

    @override
    def get_reset_query(self) -> str:
        """Return what to send before the connection is used again: nothing where nothing has changed."""
        return super().get_reset_query() if self._is_changed else ""

    @override
    async def reset(self, *, timeout: float | None = None) -> None:
        """Roll back what is open, and forget what the session was told."""
        await super().reset(timeout=timeout)
        self._is_changed = False

    async def _get_statement(self, query: str, *arguments: object, **options: object) -> object:
        # Every statement but those of `execute` without arguments comes through here; a test holds it so.
        self._note(query)
        try:
            return await super()._get_statement(query, *arguments, **options)  # type: ignore[misc]  # private
        except BaseException:
            # asyncpg asks the server to parse, and to wait for more: if that doesn't come, as after a
            # cancellation, the locks on the statement's tables stay until the reset.
            self._is_changed = True
            raise

    @override
    async def prepare(self, query: str, **options: Any) -> Any:
        """Prepare as asyncpg does; it may never be run."""
        self._is_changed = True
        return await super().prepare(query, **options)

    @override
    async def copy_from_query(self, query: str, *arguments: Any, **options: Any) -> str:
        """Copy as asyncpg does."""
        self._note(query)
        status: str = await super().copy_from_query(query, *arguments, **options)
        return status

    def _note(self, query: str) -> None:
        if self._top_xact is not None and ends_transaction(query):
            raise TransactionMisuseError(
                "This transaction is ended by its block, not by SQL, which was not sent: leave the block to"
                " commit, raise to roll back, or use a savepoint to undo a part."
            )
        if not self._is_changed and not leaves_session_alone(query):
            self._is_changed = True

    def _is_idle(self) -> bool:
        return self._proxy is None


def _retire(reference: weakref.ref[Session]) -> None:
    session = reference()
    if session is None:
        return
    session.is_expired = True
    if session._is_idle():
        # As asyncpg's idle timer does: it takes effect at once, so no one can acquire it meanwhile.
        session.terminate()
