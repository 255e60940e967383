"""Each named rule of the schema has an error of its own, which arrives by every way in."""

import asyncpg
import pytest

from sherpa.db.constraints import (
    CONSTRAINTS,
    BillingEntryExistsError,
    BillingWithoutMembershipError,
    EventAlreadyProcessedError,
    MembershipExistsError,
    OutboxEventExistsError,
    UnknownStatusError,
    UnknownTierError,
    UserHasMembershipError,
)
from sherpa.db.engine import Database
from sherpa.db.errors import ConstraintError

A, B, C = (f"'{digit * 8}-0000-0000-0000-000000000000'" for digit in "abc")
EVENT = (
    "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload)"
    f" VALUES ({A}, '', {A}, '', '{{}}')"
)
PROCESSED = f"INSERT INTO processed_events (event_id, handler_name) VALUES ({A}, 'handler')"
BILLING = f"INSERT INTO billing_history (id, membership_id, event_type) VALUES ({A}, {A}, 'paid')"


def membership(id_: str, user: str, tier: str = "free", status: str = "active") -> str:
    """Return the statement that inserts a membership."""
    return f"INSERT INTO memberships (id, user_id, tier, status) VALUES ({id_}, {user}, '{tier}', '{status}')"


async def test_every_constraint_has_its_error(connection: asyncpg.Connection) -> None:
    """The table names exactly the constraints of the migrated schema."""
    found = await connection.fetch("""
        SELECT conname FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
            AND conrelid <> coalesce(to_regclass('public.migration'), 0)
    """)

    assert set(CONSTRAINTS) == {row["conname"] for row in found}


def test_every_error_is_its_own() -> None:
    """No two constraints share an error, and each error says in words what is wrong."""
    errors = set(CONSTRAINTS.values())

    assert len(CONSTRAINTS) == len(errors)
    assert all(str(error()).endswith(".") for error in errors)


@pytest.mark.parametrize(
    ("before", "statement", "expected"),
    [
        (EVENT, EVENT, OutboxEventExistsError),
        (PROCESSED, PROCESSED, EventAlreadyProcessedError),
        (membership(A, B), membership(A, C), MembershipExistsError),
        (membership(A, B), membership(C, B), UserHasMembershipError),
        ("SELECT 1", membership(A, B, tier="gold"), UnknownTierError),
        ("SELECT 1", membership(A, B, status="asleep"), UnknownStatusError),
        ("SELECT 1", BILLING, BillingWithoutMembershipError),
        (f"{membership(A, B)}; {BILLING}", "DELETE FROM memberships", BillingWithoutMembershipError),
        (f"{membership(A, B)}; {BILLING}", BILLING, BillingEntryExistsError),
    ],
)
async def test_violation_becomes_its_error(
    database: Database,
    connection: asyncpg.Connection,
    before: str,
    statement: str,
    expected: type[ConstraintError],
) -> None:
    """Breaking a rule raises its error, with the driver's on __cause__ and no value in the message."""
    await connection.execute(before)

    with pytest.raises(ConstraintError) as caught:
        async with database.transaction() as transaction:
            await transaction.connection.execute(statement)

    error = caught.value
    assert expected is type(error)
    assert expected is CONSTRAINTS[error.constraint]
    assert isinstance(error.__cause__, asyncpg.IntegrityConstraintViolationError)
    assert "0000" not in str(error)


@pytest.mark.parametrize("way", ["connection", "query", "savepoint", "retry"])
async def test_every_way_in_translates(database: Database, way: str) -> None:
    """The error is the package's, whichever way the statement was sent."""
    wrong = membership(A, B, tier="gold")

    with pytest.raises(UnknownTierError):  # noqa: PT012 - four ways to send it
        match way:
            case "connection":
                async with database.connection() as connection:
                    await connection.execute(wrong)
            case "query":
                await database.engine.run_ddl(wrong)
            case "savepoint":
                async with database.transaction() as transaction, database.savepoint():
                    await transaction.connection.execute(wrong)
            case _:
                await database.retry(lambda transaction: transaction.connection.execute(wrong))


async def test_rule_without_name_is_a_constraint_error(database: Database) -> None:
    """NOT NULL has no name: its error is the general one, and names table and column."""
    with pytest.raises(ConstraintError) as caught:
        await database.engine.run_ddl("INSERT INTO processed_events (handler_name) VALUES ('handler')")

    assert ConstraintError is type(caught.value)
    assert "A row breaks a rule of the schema. (table processed_events, column event_id)" == str(caught.value)


async def test_foreign_errors_pass(database: Database) -> None:
    """What is no constraint, no conflict and no lost connection keeps the driver's own error."""
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.engine.run_ddl("SELECT * FROM nowhere")
