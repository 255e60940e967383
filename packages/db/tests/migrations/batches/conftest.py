"""Fixtures of the data migrations' tests: a table with balances, and migration files that walk it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.events import Direction, Event
from sherpa.db.migrations.migration import Irreversible, Run

ADD_ONE = "UPDATE accounts SET balance = balance + 1 WHERE id BETWEEN $1 AND $2"
TAKE_ONE = "UPDATE accounts SET balance = balance - 1 WHERE id BETWEEN $1 AND $2"

FILE = '''"""Made up for a test."""

from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.migration import Irreversible, Migration

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "made up"

FORWARDS = {forwards!r}

BACKWARDS = {backwards!r}

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS, transaction=False)
'''

ADDING = Batches("accounts", "id", ADD_ONE, rows=10)
TAKING = Batches("accounts", "id", TAKE_ONE, rows=10)

type Walk = Callable[..., Awaitable[list[Event]]]
type FillAccounts = Callable[[int], Awaitable[None]]
type Balances = Callable[[], Awaitable[dict[int, int]]]
type WriteBatches = Callable[..., Path]


@pytest.fixture
def fill_accounts(empty_connection: asyncpg.Connection) -> FillAccounts:
    """Return a function that creates `accounts` with so many rows: ids from 1 on, balances of 0."""

    async def fill(rows: int) -> None:
        await empty_connection.execute(
            "CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance INTEGER NOT NULL DEFAULT 0"
            " CHECK (balance < 10))"
        )
        await empty_connection.execute(
            "INSERT INTO accounts SELECT each FROM generate_series(1, $1::int) AS each", rows
        )

    return fill


@pytest.fixture
def balances(empty_connection: asyncpg.Connection) -> Balances:
    """Return a function that tells how many accounts there are of each balance."""

    async def read() -> dict[int, int]:
        query = "SELECT balance, count(*) FROM accounts GROUP BY balance ORDER BY balance"
        return {row["balance"]: row["count"] for row in await empty_connection.fetch(query)}

    return read


@pytest.fixture
def walk(empty_connection: asyncpg.Connection) -> Walk:
    """Return a function that runs Batches as the migration 001_walk, and returns what it reported."""

    async def run(
        batches: Batches, direction: Direction = "forwards", told: list[Event] | None = None
    ) -> list[Event]:
        told = [] if told is None else told
        await batches(Run(empty_connection, "001_walk", direction, told.append))
        return told

    return run


@pytest.fixture
def write_batches(folder: Path) -> WriteBatches:
    """Return a function that writes a migration that walks `accounts` both ways, unless told otherwise."""

    def write(
        migration_id: str,
        forwards: Batches = ADDING,
        backwards: Batches | Irreversible = TAKING,
    ) -> Path:
        path = folder / f"sherpa_{migration_id}.py"
        path.write_text(FILE.format(id=migration_id, forwards=forwards, backwards=backwards))
        return path

    return write
