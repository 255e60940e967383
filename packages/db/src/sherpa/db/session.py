"""The pooled connection: it retires at its age, and owns up when COMMIT did not commit."""

import asyncio
import weakref
from typing import Any

import asyncpg

from sherpa.db.errors import TransactionFailedError


class Session(asyncpg.Connection):
    """An asyncpg connection that knows its lifetime and never lets a failed COMMIT pass for a success."""

    __slots__ = ("is_expired",)

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - asyncpg calls it
        super().__init__(*arguments, **options)
        self.is_expired = False

    def retire_after(self, seconds: float) -> None:
        """Close the connection in so many seconds; if it is in use then, whoever releases it closes it."""
        timer = asyncio.get_running_loop().call_later(seconds, _retire, weakref.ref(self))
        self.add_termination_listener(lambda _: timer.cancel())

    async def execute(self, query: str, *arguments: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's signature
        """Execute as asyncpg does, but raise TransactionFailedError for a COMMIT that PostgreSQL turned down.

        COMMIT in a transaction with a failed statement is no error to PostgreSQL: it answers ROLLBACK.
        """
        status: str = await super().execute(query, *arguments, timeout=timeout)
        if status == "ROLLBACK" and query.lstrip()[:6].upper() == "COMMIT":
            raise TransactionFailedError
        return status

    def _is_idle(self) -> bool:
        return self._proxy is None  # type: ignore[attr-defined]  # asyncpg has no public way to ask


def _retire(reference: weakref.ref[Session]) -> None:
    session = reference()
    if session is None:
        return
    session.is_expired = True
    if session._is_idle():
        # As asyncpg's idle timer does: it takes effect at once, so no one can acquire it meanwhile.
        session.terminate()
