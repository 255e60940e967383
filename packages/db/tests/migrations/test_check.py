"""`migrations --check`: the command that says whether the database is as the tables declare it."""

import asyncio
import json

import asyncpg

from packages.db.tests.migrations.conftest import Run, RunAside
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.dsn import describe_server
from sherpa.db.migrations.session import open_session

NOTE = "ALTER TABLE outbox ADD COLUMN note text"


def _execute(settings: DatabaseSettings, script: str) -> None:
    async def execute() -> None:
        async with open_session(settings) as connection:
            await connection.execute(script)

    asyncio.run(execute())


def test_well_is_said(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """A migrated database is as declared, exit 0."""
    run("migrate")

    said = run("migrations", "--check")

    assert (0, f"{describe_server(empty_database_settings)} is as the tables declare it.\n", "") == said


def test_drift_is_told_by_table(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """A difference is exit 6: its table and both sides on stderr, and what to do."""
    run("migrate")
    _execute(empty_database_settings, NOTE)

    code, out, err = run("migrations", "--check")

    assert (6, "") == (code, out)
    assert "\noutbox\n  outbox.note: not declared, found text\n" in err
    assert "Mend the database by a migration, or what is declared in sherpa/db/tables." in err


def test_drift_is_json(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """As JSON it is an object that names the database, and all sides of each difference; exit 6 as well."""
    run("migrate")
    _execute(empty_database_settings, NOTE)

    code, out, err = run("migrations", "--check", "--json")

    difference = {
        "table": "outbox",
        "kind": "column",
        "name": "outbox.note",
        "declared": None,
        "found": "text",
    }
    expected = {"database": describe_server(empty_database_settings), "pending": [], "drift": [difference]}
    assert (6, expected, "") == (code, json.loads(out), err)


def test_pending_comes_first(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """With migrations pending there is nothing to compare yet: exit 3, which they are, and the command."""
    run("migrate", "--to", "001")

    code, out, err = run("migrations", "--check")

    assert (3, "") == (code, out)
    assert "002_membership" in err
    assert "apply them first, with `inv migrate`" in err


def test_pending_is_json(run: Run) -> None:
    """As JSON, pending migrations are listed and the drift is null: it was not looked for."""
    code, out, _ = run("migrations", "--check", "--json")

    document = json.loads(out)
    assert (3, None) == (code, document["drift"])
    assert ["001_foundation", "002_membership"] == document["pending"][:2]


def test_contradiction_comes_before_all(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """A history that contradicts the files is exit 4, whatever else is wrong."""
    run("migrate")
    _execute(
        empty_database_settings, f"{NOTE}; UPDATE migration SET name = '001_gone' WHERE name LIKE '001%'"
    )

    code, out, err = run("migrations", "--check")

    assert (4, "") == (code, out)
    assert "001_gone" in err


def test_check_and_repair_are_two(run: Run) -> None:
    """One command looks, the other writes: both at once is wrong use."""
    code, out, err = run("migrations", "--check", "--repair")

    assert (2, "") == (code, out)
    assert "not allowed with" in err


async def test_check_leaves_no_trace(run_aside: RunAside, empty_connection: asyncpg.Connection) -> None:
    """After a check the database is as before: the schema that was built for it has gone."""
    await run_aside("migrate")
    before = await snapshot(empty_connection)

    await run_aside("migrations", "--check")

    assert () == diff(before, await snapshot(empty_connection))
