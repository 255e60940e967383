"""The database is compared with the tables as declared, and every difference is told in words."""

import json

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.checkpoints import Checkpoints
from sherpa.db.migrations.comparison.declared import find_drift, make_declared
from sherpa.db.migrations.comparison.drift import describe
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.errors import ScratchError
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.session import open_session
from sherpa.db.tables import Memberships

INDEX = "CREATE INDEX idx_outbox_unprocessed ON public.outbox USING btree (created_at)"
ORDER = "CREATE INDEX idx_billing_history_membership ON public.billing_history USING btree (membership_id, "
HASH = "CREATE INDEX by_type ON public.outbox USING hash (event_type)"
TRIGGER = (
    "CREATE TRIGGER echo BEFORE UPDATE ON public.outbox FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
)
STANDING = (
    "ALTER TABLE memberships ADD COLUMN level TEXT",
    "CREATE FUNCTION level_is_tier() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER level_is_tier BEFORE INSERT ON memberships FOR EACH ROW EXECUTE FUNCTION level_is_tier()",
)
ONE_OF = "CHECK (((tier)::text = ANY (ARRAY[('free'::character varying)::text"
MORE = ", ('monthly'::character varying)::text", ", ('annual'::character varying)::text"


async def test_migrated_database_has_none(connection: asyncpg.Connection) -> None:
    """What the migrations make is what the tables declare."""
    assert () == await find_drift(connection)


async def test_what_a_release_leaves_standing_is_declared_as_sql(
    connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that code has forgotten, and a trigger for its successor, are declared beside the class."""
    await connection.execute(";".join(STANDING))
    expected = [str(each).partition(":")[0] for each in await find_drift(connection)]
    monkeypatch.setattr(Memberships, "ddl_indexes", (*Memberships.ddl_indexes, *STANDING))

    assert ["memberships.level", "trigger level_is_tier", "function level_is_tier()"] == expected
    assert () == await find_drift(connection)


async def test_progress_of_a_data_migration_is_none(connection: asyncpg.Connection) -> None:
    """The table in which a data migration keeps its place is the runner's own."""
    await Checkpoints("009_fill", "forwards").begin(connection, "UPDATE t", 1, "1")

    assert () == await find_drift(connection)


@pytest.mark.parametrize(
    ("change", "name", "declared", "found"),
    [
        (
            "ALTER TABLE memberships ALTER COLUMN tier TYPE varchar(30), ALTER COLUMN tier DROP NOT NULL",
            "memberships.tier",
            "character varying(20) NOT NULL",
            "character varying(30)",
        ),
        (
            "ALTER TABLE memberships ALTER COLUMN tier SET DEFAULT 'free'",
            "memberships.tier",
            "character varying(20) NOT NULL",
            "character varying(20) NOT NULL DEFAULT 'free'::character varying",
        ),
        (
            "ALTER TABLE outbox ALTER COLUMN created_at DROP DEFAULT",
            "outbox.created_at",
            "timestamp with time zone NOT NULL DEFAULT now()",
            "timestamp with time zone NOT NULL",
        ),
        ("ALTER TABLE memberships ADD motto text", "memberships.motto", None, "text"),
        ("ALTER TABLE billing_history DROP description", "billing_history.description", "text", None),
        ("CREATE TABLE audit (id serial PRIMARY KEY)", "audit", None, "table"),
        ("DROP TABLE billing_history", "billing_history", "table", None),
        (
            (
                "ALTER TABLE memberships DROP CONSTRAINT memberships_tier_check,"
                " ADD CONSTRAINT memberships_tier_check CHECK (tier IN ('free', 'monthly'))"
            ),
            "constraint memberships_tier_check",
            f"{ONE_OF}{MORE[0]}{MORE[1]}])))",
            f"{ONE_OF}{MORE[0]}])))",
        ),
        (
            "ALTER TABLE memberships DROP CONSTRAINT memberships_user_id_key",
            "constraint memberships_user_id_key",
            "UNIQUE (user_id)",
            None,
        ),
        (
            "DROP INDEX idx_outbox_unprocessed; CREATE INDEX idx_outbox_unprocessed ON outbox (created_at)",
            "index idx_outbox_unprocessed",
            f"{INDEX} WHERE (processed_at IS NULL)",
            INDEX,
        ),
        (
            (
                "DROP INDEX idx_billing_history_membership; CREATE INDEX idx_billing_history_membership"
                " ON billing_history (membership_id, created_at)"
            ),
            "index idx_billing_history_membership",
            f"{ORDER}created_at DESC)",
            f"{ORDER}created_at)",
        ),
        (
            (
                "DROP INDEX idx_outbox_unprocessed; CREATE INDEX idx_outbox_unprocessed"
                " ON outbox (created_at) INCLUDE (event_type) WHERE processed_at IS NULL"
            ),
            "index idx_outbox_unprocessed",
            f"{INDEX} WHERE (processed_at IS NULL)",
            f"{INDEX} INCLUDE (event_type) WHERE (processed_at IS NULL)",
        ),
        ("CREATE INDEX by_type ON outbox USING hash (event_type)", "index by_type", None, HASH),
        (TRIGGER, "trigger echo", None, TRIGGER),
        ("CREATE TYPE mood AS ENUM ('sad')", "type mood", None, "enum 'sad'"),
    ],
)
async def test_change_by_hand_is_told(
    change: str, name: str, declared: str | None, found: str | None, connection: asyncpg.Connection
) -> None:
    """Whatever was changed behind the migrations' back is one difference that names it and both sides."""
    await connection.execute(change)

    drift = await find_drift(connection)

    left = f"declared {declared}" if declared else "not declared"
    right = f"found {found}" if found else "not found"
    assert [f"{name}: {left}, {right}"] == [str(difference) for difference in drift]


@pytest.mark.parametrize(
    "change",
    [
        "COMMENT ON TABLE outbox IS 'ask the events team'",
        "CREATE SCHEMA reports; CREATE TABLE reports.daily (day date)",
        "INSERT INTO processed_events VALUES (gen_random_uuid(), 'handler')",
        "ALTER TABLE billing_history DROP description; ALTER TABLE billing_history ADD description text",
    ],
)
async def test_what_is_no_drift(change: str, connection: asyncpg.Connection) -> None:
    """Comments, other schemas, rows and the order of columns are nobody's fault."""
    await connection.execute(change)

    assert () == await find_drift(connection)


async def test_differences_stand_by_table(connection: asyncpg.Connection) -> None:
    """A table's differences stand together under its name, what belongs to no table at the end."""
    await connection.execute("""
        ALTER TABLE outbox ADD COLUMN note text;
        CREATE TYPE mood AS ENUM ('sad');
        ALTER TABLE memberships ADD COLUMN note text, DROP COLUMN stripe_subscription_id;
    """)

    text = describe(await find_drift(connection))

    assert [
        "memberships",
        "  memberships.note: not declared, found text",
        "  memberships.stripe_subscription_id: declared character varying(255), not found",
        "outbox",
        "  outbox.note: not declared, found text",
        "beside the tables",
        "  type mood: not declared, found enum 'sad'",
    ] == text.splitlines()


async def test_difference_is_json(connection: asyncpg.Connection) -> None:
    """A difference can be written down with both of its sides."""
    await connection.execute("ALTER TABLE outbox ADD COLUMN note text")

    written = json.loads(json.dumps([difference.as_json() for difference in await find_drift(connection)]))

    assert [
        {"table": "outbox", "kind": "column", "name": "outbox.note", "declared": None, "found": "text"}
    ] == written


@pytest.mark.parametrize("home", ["other", '"Two Words"'])
async def test_schema_may_have_any_name(
    home: str, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """Where the tables live in another schema than public, that one is compared."""
    database = await empty_connection.fetchval("SELECT quote_ident(current_database())")
    await empty_connection.execute(f"CREATE SCHEMA {home}")
    await empty_connection.execute(f"ALTER DATABASE {database} SET search_path = {home}")
    await migrate(empty_database_settings)
    async with open_session(empty_database_settings) as connection:
        await connection.execute("ALTER TABLE outbox ADD COLUMN note text")

        drift = await find_drift(connection)

    assert ["outbox.note: not declared, found text"] == [str(difference) for difference in drift]


async def test_nothing_is_left_and_nobody_blocked(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """While others write to every table the check goes through, and it leaves nothing."""
    before = await snapshot(connection)
    async with open_session(database_settings) as checking, connection.transaction():
        await connection.execute(
            "LOCK TABLE outbox, processed_events, memberships IN SHARE ROW EXCLUSIVE MODE"
        )

        assert () == await find_drift(checking)

    assert () == diff(before, await snapshot(connection))


async def test_locks_are_those_of_a_reader(connection: asyncpg.Connection) -> None:
    """On the real tables the comparison takes no lock but ACCESS SHARE."""
    async with scratch_schema(connection) as scratch:
        await make_declared(scratch)
        await scratch.snapshot()
        await snapshot(connection)

        held = await connection.fetch("""
            SELECT DISTINCT mode FROM pg_locks JOIN pg_class c ON c.oid = relation
            WHERE pid = pg_backend_pid() AND relnamespace = 'public'::regnamespace
        """)

    assert {row["mode"] for row in held} <= {"AccessShareLock"}


async def test_right_that_is_missing_is_named(
    guest_settings: DatabaseSettings, empty_database_settings: DatabaseSettings
) -> None:
    """A role that may not build the tables anew is told the GRANT that it needs."""
    await migrate(empty_database_settings)

    async with open_session(guest_settings) as guest:
        with pytest.raises(ScratchError, match="GRANT CREATE ON DATABASE"):
            await find_drift(guest)
