"""A point in a transaction that it can return to, as if what came after had not happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piccolo.engine.postgres import Savepoint as PiccoloSavepoint

if TYPE_CHECKING:
    from sherpa.db.transaction import Transaction


class Savepoint(PiccoloSavepoint):
    """Piccolo's savepoint, which also takes back that a part of the transaction has failed since."""

    transaction: Transaction

    def __init__(self, name: str, transaction: Transaction) -> None:
        super().__init__(name, transaction)
        self.failure = transaction.failure

    async def rollback_to(self) -> None:
        """Undo what was done since."""
        await self.transaction.connection.execute(f"ROLLBACK TO SAVEPOINT {self.name}")
        self.transaction.failure = self.failure

    async def release(self) -> None:
        """Forget the savepoint, keep what was done since."""
        await self.transaction.connection.execute(f"RELEASE SAVEPOINT {self.name}")
