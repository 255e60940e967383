"""What the domain's tests share: members in a real database, and what was published about them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from sherpa.db.engine import Database
from sherpa.db.tables.memberships import Tier
from sherpa.membership import memberships
from sherpa.membership.facts import Period, Terms
from sherpa.membership.membership import Membership

type Published = Callable[[], Awaitable[list[tuple[str, dict[str, Any]]]]]
type Join = Callable[..., Awaitable[Membership]]

START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def months(number: int, *, start: datetime = START) -> Period:
    """Return the `number`th period of 30 days, counted from 0."""
    return Period(start + number * MONTH, start + (number + 1) * MONTH)


def running() -> Period:
    """Return a period that is not over for long."""
    return months(0, start=datetime.now(UTC))


@pytest.fixture
def published(connection: asyncpg.Connection) -> Published:
    """Return what the outbox holds, in its order: each event's type and payload."""

    async def read() -> list[tuple[str, dict[str, Any]]]:
        rows = await connection.fetch("SELECT event_type, payload FROM outbox ORDER BY created_at, id")
        return [(row["event_type"], msgspec.json.decode(row["payload"])) for row in rows]

    return read


@pytest.fixture
def join(database: Database) -> Join:
    """Make a member, by default one who pays by the month, and commit."""

    async def create(terms: Terms | None = None, *, user_id: UUID | None = None) -> Membership:
        async with database.transaction() as transaction:
            return await memberships.create(
                transaction, user_id or uuid4(), terms or Terms(Tier.MONTHLY, months(0))
            )

    return create
