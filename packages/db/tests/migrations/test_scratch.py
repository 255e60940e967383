"""What is made in a scratch schema can be looked at as if it were real, and never remains."""

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Start
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.errors import ScratchError
from sherpa.db.migrations.session import open_session

MADE = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE parent (id serial PRIMARY KEY, feels mood NOT NULL DEFAULT 'sad', name text UNIQUE);
    CREATE TABLE child (
        parent_id int REFERENCES parent,
        price int CONSTRAINT dear CHECK (price > 10)
    );
    CREATE INDEX by_price ON child (price DESC) WHERE price > 20;
    CREATE VIEW names AS SELECT name, feels FROM parent;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touching BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE POLICY mine ON child USING (EXISTS (SELECT FROM parent WHERE id = parent_id));
    COMMENT ON TABLE parent IS 'old';
    COMMENT ON COLUMN child.price IS 'in cents';
"""
SCRATCHES = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'sherpa_scratch%'"
HOMES = ["public", "other", '"Two Words"', '"say ""hi"""']


@pytest.mark.parametrize("home", HOMES)
async def test_names_are_those_of_home(home: str, empty_connection: asyncpg.Connection) -> None:
    """What was made reads as if it had been made in the current schema, whatever that is called."""
    await empty_connection.execute(f"CREATE SCHEMA IF NOT EXISTS {home}; SET search_path = {home}, public")
    async with scratch_schema(empty_connection) as scratch:
        await empty_connection.execute(MADE)
        made = await scratch.snapshot()
    await empty_connection.execute(MADE)

    real = (await snapshot(empty_connection)).within(home)

    assert () == diff(real, made)


async def test_nothing_remains(empty_connection: asyncpg.Connection) -> None:
    """After the block the database, the search path and the limits are as they were."""
    before = await snapshot(empty_connection)
    settings = "SELECT current_setting('search_path'), current_setting('lock_timeout')"
    as_it_was = await empty_connection.fetchrow(settings)

    async with scratch_schema(empty_connection):
        await empty_connection.execute(MADE)

    assert () == diff(before, await snapshot(empty_connection))
    assert as_it_was == await empty_connection.fetchrow(settings)


async def test_nothing_remains_after_an_error(empty_connection: asyncpg.Connection) -> None:
    """An error in the block comes out as it is, and what was made goes."""
    before = await snapshot(empty_connection)

    with pytest.raises(asyncpg.DivisionByZeroError):
        async with scratch_schema(empty_connection):
            await empty_connection.execute(f"{MADE}; SELECT 1 / 0")

    assert () == diff(before, await snapshot(empty_connection))


async def test_nothing_remains_after_a_kill(
    start_python: Start, empty_connection: asyncpg.Connection
) -> None:
    """Killed with -9 in the middle, a process leaves no schema behind."""
    process = start_python("""
import asyncio
from sherpa.config import load
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings

async def main():
    async with open_session(load(MigrationSettings).database) as connection:
        async with scratch_schema(connection) as scratch:
            await connection.execute("CREATE TABLE made ()")
            print(scratch.schema, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
""")
    assert process.stdout is not None
    schema = process.stdout.readline().strip()

    process.kill()
    process.communicate()

    assert schema.startswith("sherpa_scratch_")
    assert 0 == await empty_connection.fetchval(SCRATCHES)


async def test_open_transaction_goes_on(empty_connection: asyncpg.Connection) -> None:
    """Inside an open transaction the block alone is rolled back."""
    async with empty_connection.transaction():
        await empty_connection.execute("CREATE TABLE kept ()")

        async with scratch_schema(empty_connection):
            await empty_connection.execute("CREATE TABLE gone ()")

    names = await empty_connection.fetch("SELECT to_regclass('kept') IS NULL, to_regclass('gone') IS NULL")
    assert [(False, True)] == [tuple(row) for row in names]


async def test_real_tables_are_not_locked(empty_connection: asyncpg.Connection) -> None:
    """Tables of the same names as real ones are made, changed and dropped without a lock on those."""
    await empty_connection.execute(MADE)
    locks = """
        SELECT DISTINCT mode FROM pg_locks JOIN pg_class c ON c.oid = relation
        WHERE pid = pg_backend_pid() AND relnamespace = 'public'::regnamespace
    """

    async with scratch_schema(empty_connection) as scratch:
        await empty_connection.execute(f"{MADE}; ALTER TABLE child DROP COLUMN price; DROP TABLE child")
        await scratch.snapshot()
        held = {row["mode"] for row in await empty_connection.fetch(locks)}

    assert held <= {"AccessShareLock"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE child (id int REFERENCES parent)",
        "INSERT INTO parent DEFAULT VALUES",
        "DROP TABLE parent",
    ],
)
async def test_reaching_beyond_is_told(statement: str, empty_connection: asyncpg.Connection) -> None:
    """Who locks or writes a real table from inside is told which, and nothing of it stays."""
    await empty_connection.execute("CREATE TABLE parent (id serial PRIMARY KEY)")
    before = await snapshot(empty_connection)

    with pytest.raises(ScratchError, match=r"reached beyond it, and locked .*parent"):
        async with scratch_schema(empty_connection):
            await empty_connection.execute(statement)

    assert () == diff(before, await snapshot(empty_connection))
    assert 0 == await empty_connection.fetchval("SELECT count(*) FROM parent")


@pytest.mark.parametrize("ending", ["COMMIT", "COMMIT; BEGIN", "ROLLBACK", "ROLLBACK; BEGIN"])
async def test_end_of_the_transaction_is_told(ending: str, empty_connection: asyncpg.Connection) -> None:
    """A COMMIT or ROLLBACK inside is an error, and no schema that it made real remains."""
    before = await snapshot(empty_connection)

    with pytest.raises(ScratchError, match="COMMIT or ROLLBACK of its own"):
        async with scratch_schema(empty_connection):
            await empty_connection.execute(f"CREATE TABLE made (); {ending}")

    assert () == diff(before, await snapshot(empty_connection))


async def test_error_after_a_commit_leaves_no_schema(empty_connection: asyncpg.Connection) -> None:
    """An error that follows a COMMIT inside comes out, and the schema goes."""
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with scratch_schema(empty_connection):
            await empty_connection.execute("CREATE TABLE made (); COMMIT; SELECT 1 / 0")

    assert 0 == await empty_connection.fetchval(SCRATCHES)


async def test_missing_right_is_named(
    guest_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """A role that may create no schema is told the GRANT that it needs."""
    database = await empty_connection.fetchval("SELECT current_database()")
    role = guest_settings.url.username
    async with open_session(guest_settings) as guest:
        with pytest.raises(ScratchError, match=f'GRANT CREATE ON DATABASE "{database}" TO "{role}"'):
            async with scratch_schema(guest):
                pass


async def test_missing_schema_is_named(empty_connection: asyncpg.Connection) -> None:
    """A session whose search path leads nowhere has no schema to stand for."""
    await empty_connection.execute("SET search_path = nowhere")

    with pytest.raises(ScratchError, match="search_path with a schema that exists"):
        async with scratch_schema(empty_connection):
            pass


async def test_read_only_session_is_told(empty_connection: asyncpg.Connection) -> None:
    """Where nothing may be written, on a standby too, the error says so."""
    await empty_connection.execute("SET default_transaction_read_only = on")

    with pytest.raises(ScratchError, match="primary server"):
        async with scratch_schema(empty_connection):
            pass
