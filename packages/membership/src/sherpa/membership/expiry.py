"""Memberships whose time is over: they expire in one statement, each with its event."""

from typing import Final

from sherpa.db.transaction import Transaction
from sherpa.events.publishing import publish_all
from sherpa.membership.events import MembershipExpired
from sherpa.membership.membership import COLUMNS, Membership, from_row, tell

# ruff: noqa: S608 - the columns are our own constant
# statement_timestamp() is stable: an index can be searched for it, as it can not for clock_timestamp().
# SKIP LOCKED: one that is being renewed now is looked at next time, and two who expire don't do it twice.
_EXPIRE: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT id AS due_id FROM memberships
        WHERE status IN ('active', 'cancelled') AND current_period_end <= statement_timestamp()
        ORDER BY current_period_end LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE memberships SET status = 'expired', updated_at = clock_timestamp()
    FROM due WHERE id = due_id RETURNING {COLUMNS}
"""


async def expire_due(transaction: Transaction, *, limit: int = 1000) -> tuple[Membership, ...]:
    """Expire up to `limit` memberships whose period is over by the database's clock, and return them.

    As many as `limit` mean that there may be more: call it again, in another transaction.
    """
    rows = await transaction.connection.fetch(_EXPIRE, limit)
    expired = tuple(from_row(row) for row in rows)
    await publish_all(transaction, [tell(MembershipExpired, membership) for membership in expired])
    return expired
