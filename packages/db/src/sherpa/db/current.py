"""Which transaction the running task is in."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sherpa.db.transaction import Transaction


class CurrentTransaction:
    """What Piccolo keeps in a bare context variable, without its trap.

    A task inherits the variable from the task that made it, and may live longer than the transaction: for it,
    as for everyone, a transaction that was left is none.
    """

    def __init__(self) -> None:
        # One variable per engine: a transaction on one database is none on another.
        self._block: ContextVar[Transaction | None] = ContextVar("sherpa_current_transaction", default=None)

    def get(self) -> Transaction | None:
        """Return the open transaction that this task is in.

        Raises TransactionMisuseError where the block goes on, but its transaction has ended: a statement
        must not slip out of it into autocommit.
        """
        block = self._block.get()
        if block is None or block.is_left:
            return None
        block.root.check_open()
        return block.root

    def set(self, block: Transaction) -> Token[Transaction | None]:
        """Enter the block."""
        return self._block.set(block)

    def reset(self, token: Token[Transaction | None]) -> None:
        """Leave the block; in another context than it was entered in, there is nothing to do."""
        with suppress(ValueError):
            self._block.reset(token)

    def clear(self) -> None:
        """Be in no transaction, whatever was inherited."""
        self._block.set(None)
