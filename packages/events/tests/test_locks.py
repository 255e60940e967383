"""A lock by name belongs to one session, or to those that share it, and ends with them."""

import asyncio

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import connect_options
from sherpa.db.engine import Database
from sherpa.devstack.harness.waiting import eventually
from sherpa.events import locks


def test_key_of_a_name_never_changes() -> None:
    """The number is part of what releases have in common: an old process and a new one meet in it."""
    assert {"relay/0/1": 1645711770139628551, "": -1970711489451281740} == {
        name: locks.key(name) for name in ("relay/0/1", "")
    }


def test_keys_are_told_apart() -> None:
    """All relays of all layouts have a key each, within the 64 bits with a sign that PostgreSQL takes."""
    keys = {locks.key(f"relay/{p}/{n}") for n in range(1, 257) for p in range(n)}

    assert 256 * 257 // 2 == len(keys)
    assert all(-(2**63) <= each < 2**63 for each in keys)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(False, False, False), (False, True, False), (True, False, False), (True, True, True)],
)
async def test_only_sharers_hold_together(
    database: Database, connection: asyncpg.Connection, first: bool, second: bool, expected: bool
) -> None:
    """An exclusive lock is one session's alone; a shared one is that of all who share."""
    async with database.connection() as other:
        assert await locks.take(connection, "seat", shared=first)

        assert expected == await locks.take(other, "seat", shared=second)


async def test_owner_may_share_and_give_up_the_rest(
    database: Database, connection: asyncpg.Connection
) -> None:
    """Taken exclusively, then shared, then given back once: others may share, and none may own."""
    async with database.connection() as other:
        await locks.take(connection, "seat")
        await locks.take(connection, "seat", shared=True)
        assert await locks.give_back(connection, "seat")

        assert (False, True) == (
            await locks.take(other, "seat"),
            await locks.take(other, "seat", shared=True),
        )


async def test_lock_ends_with_its_session(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Nobody has to clean up after a session that was ended from outside."""
    holder = await asyncpg.connect(**connect_options(database_settings, "holder"))
    await locks.take(holder, "seat")
    pid = await holder.fetchval("SELECT pg_backend_pid()")
    assert not await locks.take(connection, "seat")

    await connection.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)

    assert await locks.take(connection, "seat")
    await holder.close()


async def test_pooled_connection_gives_its_locks_back(database: Database) -> None:
    """A connection that goes back to the pool keeps no lock, whoever gets it next."""
    async with database.connection() as lent:
        await locks.take(lent, "seat")

    async with database.connection() as one, database.connection() as another:
        assert await locks.take(one, "seat")
        assert not await locks.take(another, "seat")


async def test_giving_back_what_is_not_held(connection: asyncpg.Connection) -> None:
    """The session is told that it did not hold the lock."""
    assert not await locks.give_back(connection, "seat")


async def test_holders_are_named(database: Database, connection: asyncpg.Connection) -> None:
    """Of the names that are asked for, those that are held, each with all its sessions."""
    async with database.connection() as other:
        await locks.take(connection, "shared", shared=True)
        await locks.take(other, "shared", shared=True)
        await locks.take(other, "own")
        pids = [await each.fetchval("SELECT pg_backend_pid()") for each in (connection, other)]

        held = await locks.holders(connection, ["shared", "own", "free"])

    assert {"shared": sorted(pids), "own": [pids[1]]} == held


async def test_other_databases_holders_are_not_ours(
    connection: asyncpg.Connection, empty_database_settings: DatabaseSettings
) -> None:
    """The same name in another database of the server is another lock."""
    elsewhere = Database(empty_database_settings, application_name="locks")
    async with elsewhere, elsewhere.connection() as other:
        await locks.take(other, "seat")

        assert {} == await locks.holders(connection, ["seat"])
        assert await locks.take(connection, "seat")


async def test_session_paused_in_mid_statement_is_ended(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """A process that has a statement parsed and never runs it is idle to no timeout: it is ended by name."""
    holder = await asyncpg.connect(
        **connect_options(database_settings, "paused", server_settings={"idle_session_timeout": "100ms"})
    )
    await locks.take(holder, "seat")
    await holder.prepare("SELECT 42")
    pids = (await locks.holders(connection, ["seat"]))["seat"]

    early = await locks.end_silent(connection, pids, seconds=3600)
    await asyncio.sleep(0.3)
    late = await locks.end_silent(connection, pids, seconds=0.2)

    assert (0, 1) == (early, late)
    await eventually(lambda: locks.take(connection, "seat"))
    holder.terminate()


async def test_sessions_that_work_or_rest_are_left_alone(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """However long a statement runs, or a session has had nothing to do, it isn't silent in that sense."""
    options = connect_options(database_settings, "alive")
    resting, working = [await asyncpg.connect(**options) for _ in range(2)]
    sleeping = asyncio.create_task(working.fetch("SELECT pg_sleep(1)"))
    pids = [each.get_server_pid() for each in (resting, working, connection)]
    await asyncio.sleep(0.3)

    ended = await locks.end_silent(connection, pids, seconds=0.1)

    assert 0 == ended
    await sleeping
    assert 1 == await resting.fetchval("SELECT 1")
    await resting.close()
    await working.close()
