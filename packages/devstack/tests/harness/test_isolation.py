"""Whatever a test does to its database, the next one finds what the migrations made, and nothing else."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from sherpa.devstack.harness import databases
from sherpa.devstack.harness.databases import Lease
from sherpa.devstack.harness.worker import Worker

type Facts = dict[str, Any]
type Observe = Callable[[Lease], Awaitable[Facts]]

EVENT = """
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
    VALUES ('membership', gen_random_uuid(), 'membership.created', '{}')
"""
MEMBER = """
    WITH member AS (
        INSERT INTO memberships (id, user_id, tier, status)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'free', 'active') RETURNING id
    )
    INSERT INTO billing_history (membership_id, event_type) SELECT id, 'started' FROM member
"""

# What is taken away, and the database used again.
WIPED = {
    "rows": EVENT,
    "rows with a foreign key": MEMBER,
    "many rows": "INSERT INTO processed_events (event_id, handler_name)"
    " SELECT gen_random_uuid(), 'handler' FROM generate_series(1, 2000)",
    "a sequence's step": "SELECT nextval('migration_id_seq')",
    "a sequence set, not called": "SELECT setval('migration_id_seq', 70, false)",
    "its role's settings": "ALTER ROLE CURRENT_USER SET search_path = 'elsewhere'",
    "its role's password": "ALTER ROLE CURRENT_USER PASSWORD 'changed'",
}

# What can't be taken away: the database is replaced.
REPLACED = {
    "a table": "CREATE TABLE extra (id int)",
    "a table with rows": "CREATE TABLE extra AS SELECT 1 AS id",
    "an unlogged table": "CREATE UNLOGGED TABLE extra (id int)",
    "a dropped table": "DROP TABLE billing_history",
    "a truncated table": f"{EVENT}; TRUNCATE outbox",
    "a renamed table": "ALTER TABLE outbox RENAME TO inbox",
    "a rewritten table": "VACUUM FULL outbox",
    "a column": "ALTER TABLE outbox ADD COLUMN extra int",
    "a dropped column": "ALTER TABLE outbox DROP COLUMN event_type",
    "a renamed column": "ALTER TABLE outbox RENAME COLUMN event_type TO kind",
    "a column's type": "ALTER TABLE outbox ALTER COLUMN event_type TYPE text",
    "a column's default": "ALTER TABLE outbox ALTER COLUMN event_type SET DEFAULT 'none'",
    "a column's statistics target": "ALTER TABLE outbox ALTER COLUMN event_type SET STATISTICS 500",
    "a storage parameter": "ALTER TABLE outbox SET (fillfactor = 50)",
    "a constraint": "ALTER TABLE outbox ADD CONSTRAINT named CHECK (event_type <> '')",
    "a dropped constraint": "ALTER TABLE memberships DROP CONSTRAINT memberships_tier_check",
    "an index": "CREATE INDEX extra ON outbox (event_type)",
    "an index made concurrently": "CREATE INDEX CONCURRENTLY extra ON outbox (event_type)",
    "a dropped index": "DROP INDEX idx_outbox_unprocessed",
    "a view": "CREATE VIEW extra AS SELECT 1 AS id",
    "a materialised view": "CREATE MATERIALIZED VIEW extra AS SELECT 1 AS id",
    "a sequence": "CREATE SEQUENCE extra",
    "a sequence's step width": "ALTER SEQUENCE migration_id_seq INCREMENT BY 7",
    "a schema": "CREATE SCHEMA extra",
    "the schema public, dropped": "DROP SCHEMA public CASCADE",
    "an enum type": "CREATE TYPE extra AS ENUM ('one')",
    "an enum's new value": "CREATE TYPE extra AS ENUM ('one'); ALTER TYPE extra ADD VALUE 'two'",
    "a domain": "CREATE DOMAIN extra AS int CHECK (VALUE > 0)",
    "a function": "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a trigger": "CREATE FUNCTION extra() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER extra BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION extra()",
    "a trigger that fires for replicas": "CREATE FUNCTION extra() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER extra BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION extra();"
    f" ALTER TABLE outbox ENABLE ALWAYS TRIGGER extra; {EVENT}",
    "a rule that keeps rows": f"CREATE RULE extra AS ON DELETE TO outbox DO INSTEAD NOTHING; {EVENT}",
    "an aggregate": "CREATE AGGREGATE extra (int) (sfunc = int4pl, stype = int, initcond = '0')",
    "an operator": "CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq)",
    "a collation": 'CREATE COLLATION extra FROM "C"',
    "statistics": "CREATE STATISTICS extra ON event_type, aggregate_type FROM outbox",
    "a text search configuration": "CREATE TEXT SEARCH CONFIGURATION extra (COPY = english)",
    "a publication": "CREATE PUBLICATION extra FOR TABLE outbox",
    "row security": "ALTER TABLE outbox ENABLE ROW LEVEL SECURITY",
    "row security for the owner too": "ALTER TABLE outbox FORCE ROW LEVEL SECURITY",
    "a policy": "CREATE POLICY extra ON outbox USING (false)",
    "a grant on a table": "GRANT SELECT ON outbox TO PUBLIC",
    "a grant on a column": "GRANT SELECT (id) ON outbox TO PUBLIC",
    "a grant on a schema": "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "a right taken away": "REVOKE INSERT ON outbox FROM CURRENT_USER",
    "grants to come": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "a comment on a table": "COMMENT ON TABLE outbox IS 'mine'",
    "a comment on the schema": "COMMENT ON SCHEMA public IS 'mine'",
    "a large object": "SELECT lo_from_bytea(0, 'x')",
    "a large object with a small number": "SELECT lo_create(1000)",
    "a migration's record, changed": "UPDATE migration SET name = name || '!'",
    "a migration's record, removed": "DELETE FROM migration",
    "a migration's record, added": "INSERT INTO migration (name, app_name) VALUES ('more', 'sherpa')",
    "a migration's record, written anew": "UPDATE migration SET name = name",
}
# The first that there is: the self-contained PostgreSQL has no citext.
EXTENSION = """
    DO $$ BEGIN EXECUTE (
        SELECT 'CREATE EXTENSION ' || name FROM pg_available_extensions
        WHERE name IN ('citext', 'vector') ORDER BY name LIMIT 1
    ); END $$
"""
DATABASE_WIDE = {
    "a setting": "ALTER DATABASE {name} SET search_path = 'elsewhere'",
    "a setting for its role": "ALTER ROLE CURRENT_USER IN DATABASE {name} SET timezone = 'Asia/Tokyo'",
    "a connection limit": "ALTER DATABASE {name} CONNECTION LIMIT 7",
    "a comment": "COMMENT ON DATABASE {name} IS 'mine'",
    "a grant": "GRANT CREATE ON DATABASE {name} TO PUBLIC",
    "closed doors": "REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
}


@pytest.mark.parametrize("abuse", WIPED.values(), ids=WIPED)
async def test_rows_and_steps_are_wiped(abuse: str, worker: Worker, observe: Observe, truth: Facts) -> None:
    """What tables and sequences hold is taken away, and the same database is lent again."""
    lease = _lend(worker)
    await _run(worker, lease, abuse)

    returned = worker.take_back(lease)

    again = _lend(worker)
    assert truth == await observe(again)
    assert (lease.database, []) == (again.database, returned.differences)
    worker.take_back(again)


@pytest.mark.parametrize("abuse", REPLACED.values(), ids=REPLACED)
async def test_everything_else_is_replaced(
    abuse: str, worker: Worker, observe: Observe, truth: Facts
) -> None:
    """After any other change a fresh clone is lent, and the change is named."""
    lease = _lend(worker)
    await _run(worker, lease, abuse)

    returned = worker.take_back(lease)

    again = _lend(worker)
    assert truth == await observe(again)
    assert returned.differences
    worker.take_back(again)


async def test_an_extension_is_replaced(worker: Worker, observe: Observe, truth: Facts) -> None:
    """An extension that was created in a lent database is gone from the next one."""
    lease = _lend(worker)
    await _run_as_superuser(worker, lease.database, EXTENSION)

    returned = worker.take_back(lease)

    again = _lend(worker)
    assert truth == await observe(again)
    assert any("extension" in str(difference) for difference in returned.differences)
    worker.take_back(again)


@pytest.mark.parametrize("abuse", DATABASE_WIDE.values(), ids=DATABASE_WIDE)
async def test_the_databases_own_settings_are_replaced(
    abuse: str, worker: Worker, observe: Observe, truth: Facts
) -> None:
    """What stands in the cluster's catalogues about this database counts too."""
    lease = _lend(worker)
    await _run(worker, lease, abuse.format(name=lease.database))

    returned = worker.take_back(lease)

    again = _lend(worker)
    assert truth == await observe(again)
    assert returned.differences
    worker.take_back(again)


@pytest.mark.parametrize("statement", ["ANALYZE", "VACUUM", "VACUUM (FREEZE)", "CHECKPOINT", "SELECT 1"])
async def test_upkeep_is_no_difference(statement: str, worker: Worker) -> None:
    """What changes no meaning leaves the database in use: statistics, freezing, checkpoints."""
    lease = _lend(worker)
    await _run_as_superuser(worker, lease.database, EVENT)
    await _run_as_superuser(worker, lease.database, statement)

    returned = worker.take_back(lease)

    assert [] == returned.differences


@pytest.mark.parametrize("limit", ["USES_LIMIT", "WIPED_ROWS_LIMIT"])
async def test_worn_database_is_replaced(limit: str, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted rows slow every wipe and proof down: after many, a fresh clone is quicker."""
    monkeypatch.setattr(databases, limit, 1)
    lease = _lend(worker)
    await _run(worker, lease, EVENT)

    worker.take_back(lease)

    again = _lend(worker)
    assert lease.database != again.database
    worker.take_back(again)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP DATABASE postgres",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "BEGIN; PREPARE TRANSACTION 'mine'",
        "ALTER DATABASE template1 SET work_mem = '1MB'",
        "SET session_replication_role = replica",
    ],
)
async def test_the_cluster_is_out_of_reach(statement: str, worker: Worker) -> None:
    """The role of tests may do what it likes to its database, and nothing to the cluster that all share."""
    lease = _lend(worker)

    with pytest.raises(asyncpg.PostgresError):
        await _run(worker, lease, statement)

    worker.take_back(lease)


@pytest.mark.parametrize("database", ["postgres", "template1"])
async def test_nobodys_databases_are_shut(database: str, worker: Worker) -> None:
    """A test can't leave anything in a database that isn't lent to it."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(worker.cluster.settings(database).url.reveal(), ssl=False)


def _lend(worker: Worker) -> Lease:
    lease = worker.lend()
    lease.is_open = True
    return lease


async def _run(worker: Worker, lease: Lease, sql: str) -> None:
    connection = await asyncpg.connect(worker.cluster.settings(lease.database).url.reveal(), ssl=False)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _run_as_superuser(worker: Worker, database: str, sql: str) -> None:
    connection = await asyncpg.connect(worker.cluster.superuser_settings(database).url.reveal(), ssl=False)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
