"""Piccolo over the pool: queries, bulk calls and batches all go through it and its transactions."""

import asyncio
import socket
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from piccolo.columns import Integer, Varchar
from piccolo.table import Table, create_db_tables, drop_db_tables

from sherpa.config import DatabaseSettings
from sherpa.db.constraints import UserHasMembershipError
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseClosedError, DatabaseError
from sherpa.db.tables import Memberships
from sherpa.db.transaction import Transaction


class Thing(Table):
    """A table of the tests."""

    id = Integer(primary_key=True)
    name = Varchar()


class Refused(Table, schema="pg_catalog"):
    """A table that can't be made: PostgreSQL keeps the schema for itself."""

    id = Integer(primary_key=True)


@pytest.fixture
async def things(database: Database) -> Database:
    """Return the database, with the tests' tables bound to it and the first of them made."""
    for table in (Thing, Refused):
        table._meta.db = database.engine
    await create_db_tables(Thing)
    return database


def test_making_a_database_connects_to_nothing(database_settings: DatabaseSettings) -> None:
    """Neither Database nor its engine opens a connection; Piccolo's own does, to ask for the version."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = database_settings.url.replace(port=listener.getsockname()[1])
        Database(replace(database_settings, url=url), application_name="test")

        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_queries_of_every_kind_work(things: Database) -> None:
    """Insert, save, select, objects, update, count, exists and delete go through the pool."""
    await Thing.insert(Thing(id=1, name="one"))
    await Thing(id=2, name="two").save()
    await Thing.update({Thing.name: "TWO"}).where(Thing.id == 2)
    selected = await Thing.select(Thing.name).order_by(Thing.id)
    thing = await Thing.objects().get(Thing.id == 2)
    counted = await Thing.count()
    existing = await Thing.exists().where(Thing.id == 3)
    await Thing.delete(force=True)

    assert [{"name": "one"}, {"name": "TWO"}] == selected
    assert thing is not None
    assert ("TWO", 2, False, 0) == (thing.name, counted, existing, await Thing.count())
    assert 0 == things.pool_stats().in_use


async def test_transaction_is_the_corrected_one(things: Database) -> None:
    """Whatever Piccolo makes a transaction with, gets ours."""
    transaction = Thing._meta.db.transaction()

    assert Transaction is type(transaction)
    assert things.engine is things.engine.atomic().engine


async def test_bulk_calls_are_atomic(things: Database, connection: asyncpg.Connection) -> None:
    """create_db_tables makes all tables or none, and drop_db_tables removes them."""
    await drop_db_tables(Thing)
    with pytest.raises(asyncpg.ReservedNameError):
        await create_db_tables(Thing, Refused)

    assert await connection.fetchval("SELECT to_regclass('thing')") is None
    assert 0 == things.pool_stats().in_use


async def test_atomic_joins(things: Database) -> None:
    """An Atomic inside a transaction is part of it."""
    with pytest.raises(KeyError):  # noqa: PT012 - the transaction is what fails
        async with things.transaction():
            atomic = things.engine.atomic()
            atomic.add(Thing.insert(Thing(id=1)))
            await atomic
            raise KeyError

    assert 0 == await Thing.count()


async def test_errors_of_queries_are_ours(database: Database) -> None:
    """A Piccolo query raises the constraint's own error."""
    user = uuid4()
    await Memberships(id=uuid4(), user_id=user, tier="free", status="active").save()

    with pytest.raises(UserHasMembershipError):
        await Memberships(id=uuid4(), user_id=user, tier="free", status="active").save()


@pytest.mark.parametrize("inside", [True, False])
async def test_batches_are_read_in_parts(things: Database, inside: bool) -> None:
    """A long result comes in parts of the size asked for, also those rows that only the transaction sees."""
    async with things.transaction() if inside else asyncio.timeout(60):
        await Thing.insert(*(Thing(id=number) for number in range(5)))
        async with await Thing.select(Thing.id).order_by(Thing.id).batch(batch_size=2) as batch:
            parts = [[row["id"] for row in part] async for part in batch]

    assert [[0, 1], [2, 3], [4]] == parts
    assert 0 == things.pool_stats().in_use


async def test_error_leaves_batch(things: Database) -> None:
    """An error in a batch's block arrives, where Piccolo's own swallows it, and the connection goes back."""
    with pytest.raises(KeyError):
        async with await Thing.select().batch():
            raise KeyError

    assert 0 == things.pool_stats().in_use


async def test_batch_of_wrong_query_frees_its_place(things: Database) -> None:
    """A batch whose query fails takes no connection with it."""
    with pytest.raises(asyncpg.UndefinedTableError):
        async with await Refused.select().batch():
            pass

    assert 0 == things.pool_stats().in_use


async def test_query_runs_from_a_thread(things: Database) -> None:
    """run_sync() works beside the pool's loop, on a connection of its own that it closes."""
    rows = await asyncio.to_thread(lambda: Thing.select().run_sync())

    assert [] == rows


async def test_pool_is_not_opened_twice(things: Database) -> None:
    """Piccolo's own way to open and close a pool is refused: it knows nothing of the settings."""
    with pytest.raises(DatabaseError, match=r"Database.open\(\)"):
        await things.engine.start_connection_pool()
    with pytest.raises(DatabaseError, match=r"Database.close\(\)"):
        await things.engine.close_connection_pool()


async def test_tables_follow_the_open_database(database_settings: DatabaseSettings) -> None:
    """The tables go to the database opened last, back to the one before, and never on their own."""
    first, second = (Database(database_settings, application_name=name) for name in ("first", "second"))
    await first.open()
    await second.open()
    to_second = Memberships._meta.db
    await second.close()
    to_first = Memberships._meta.db
    await first.close()

    assert (second.engine, first.engine) == (to_second, to_first)
    with pytest.raises(DatabaseClosedError):
        await Memberships.count()
