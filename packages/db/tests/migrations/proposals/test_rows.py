"""What is proposed, on tables with rows: nothing is lost unasked, and what is called an instant is one."""

from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import WriteMigration
from packages.db.tests.migrations.proposals.cases import COLUMNS, CONSTRAINTS, t
from packages.db.tests.migrations.proposals.conftest import HOME, decide, read_actual, read_declared
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.errors import MigrationFailedError
from sherpa.db.migrations.proposals.changes import instant
from sherpa.db.migrations.proposals.new import write_migrations
from sherpa.db.migrations.proposals.plan import propose
from sherpa.db.migrations.runner import migrate, revert

SHORT, WIDE, TEXT = (t(name=type_name) for type_name in ("VARCHAR(5)", "VARCHAR(40)", "TEXT"))


@pytest.mark.parametrize(
    ("there", "declared", "fails"),
    [(SHORT, WIDE, revert), (SHORT, TEXT, revert), (WIDE, SHORT, migrate), (TEXT, SHORT, migrate)],
    ids=["back to shorter", "back from text", "shorter", "shorter than text"],
)
async def test_no_text_is_cut(
    there: str,
    declared: str,
    fails: object,
    folder: Path,
    write_migration: WriteMigration,
    empty_database_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
) -> None:
    """A text that the other type can't hold stops the change, in either direction, and stays whole."""
    write_migration("001_there", there)
    await migrate(empty_database_settings, folder=folder)
    drafts = propose(
        await read_declared(empty_connection, declared), await read_actual(empty_connection), HOME
    )
    decide(write_migrations("change", drafts, folder=folder))
    if fails is revert:
        await migrate(empty_database_settings, folder=folder)
    await empty_connection.execute("INSERT INTO t (id, name) VALUES (gen_random_uuid(), 'too long')")

    with pytest.raises(MigrationFailedError, match="SQLSTATE 22001"):
        await (revert if fails is revert else migrate)(empty_database_settings, folder=folder)

    assert "too long" == await empty_connection.fetchval("SELECT name FROM t")


async def test_instants_are_instants(empty_connection: asyncpg.Connection) -> None:
    """PostgreSQL tells of each table that it rewrites or verifies: of none where the header says so."""
    told: list[str] = []
    empty_connection.add_log_listener(lambda _, message: told.append(message.message))
    tried = []

    for name, case in {**COLUMNS, **CONSTRAINTS}.items():
        there = await read_declared(empty_connection, case.there)
        draft, *_ = propose(await read_declared(empty_connection, case.declared), there, HOME)
        if draft.locks != (instant("t"),):
            continue
        tried.append(name)
        async with scratch_schema(empty_connection):
            await empty_connection.execute(case.there)
            await empty_connection.execute("SET LOCAL client_min_messages = debug1")
            await empty_connection.execute(";\n".join(draft.forwards))

    assert {"column_with_unknown_function", "checked_wider_varchar", "wider_varchar"} <= {*tried}
    assert [] == [line for line in told if line.startswith(("rewriting", "verifying"))]


async def test_nobody_waits_while_rows_are_read(empty_connection: asyncpg.Connection) -> None:
    """A lock that others wait for would be kept to the end of the file: what reads comes before it."""
    case = CONSTRAINTS["all_at_once"]
    there = await read_declared(empty_connection, case.there)
    drafts = propose(await read_declared(empty_connection, case.declared), there, HOME)

    reads = ["VALIDATE" in statement for statement in drafts[-1].forwards]

    assert [True] * 3 + [False] * 3 == reads
